//! The threads that carry out what takes long: scripts. An engine hands them work and goes on; what is done comes back as an input.
//!
//! A script that runs for ever holds up one of them until its budget is spent or its client has waited for long enough, and nobody else.

use node::scripts::{Bench, Work};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError};

/// How many there are at most: scripts are short, and the engine needs a processor too.
const WORKERS_MAX: usize = 4;

/// Lua and what walks over its tables need more stack than most threads do.
const STACK_BYTES: usize = 16 << 20;

/// Where work goes.
#[derive(Clone, Debug)]
pub struct Workers {
    work: Sender<Box<Work>>,
}

impl Workers {
    /// Starts them. `done` gets what was carried out, on one of their threads.
    pub fn spawn(done: impl Fn(Box<Work>) + Clone + Send + 'static) -> std::io::Result<Self> {
        let (work, queue) = channel();
        let queue = Arc::new(Mutex::new(queue));
        let count = std::thread::available_parallelism().map_or(1, usize::from).clamp(1, WORKERS_MAX);
        for number in 1..=count {
            let (queue, done) = (Arc::clone(&queue), done.clone());
            let thread = std::thread::Builder::new().name(format!("script-{number}")).stack_size(STACK_BYTES);
            thread.spawn(move || serve(&queue, &done))?;
        }
        Ok(Self { work })
    }

    /// Takes work without waiting.
    pub fn submit(&self, work: Box<Work>) {
        // They are gone only at the very end.
        let _ = self.work.send(work);
    }
}

fn serve(queue: &Mutex<Receiver<Box<Work>>>, done: &impl Fn(Box<Work>)) {
    let mut bench = Bench::default();
    loop {
        let next = queue.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut work) = next else { return };
        match catch_unwind(AssertUnwindSafe(|| work.carry_out(&mut bench))) {
            Ok(()) => done(work),
            Err(_) => {
                // Its client hears that it took too long; nothing of it has taken effect.
                tracing::error!("a script has brought its worker down, which goes on with a fresh state");
                bench = Bench::default();
            }
        }
    }
}
