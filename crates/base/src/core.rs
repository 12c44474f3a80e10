//! Every protocol of Sihai is a `Core`: a deterministic state machine that two drivers run, the tokio server
//! and the seeded simulator.

use crate::time::Time;
use alloc::vec::Vec;

/// A deterministic state machine without I/O.
pub trait Core {
    /// What can happen to it, closed: one enum, one dispatch.
    type Input;
    /// What it asks its driver to do.
    type Effect;

    /// Takes one input to completion. Never blocks; never fails or panics on what a peer or client sent.
    fn step(&mut self, now: Time, input: Self::Input, out: &mut Outbox<Self::Effect>);

    /// Called once after all ready inputs were stepped: whatever can be said once for many inputs is said here.
    fn flush(&mut self, now: Time, out: &mut Outbox<Self::Effect>);

    /// When to call [`Core::flush`] though no input came; `None` means only on input. A call that comes too
    /// early is harmless.
    fn deadline(&self) -> Option<Time>;

    /// Panics naming the broken invariant. The simulator calls it after every step.
    fn check(&self);
}

/// Effects in the order in which they were asked for.
#[derive(Debug)]
pub struct Outbox<E> {
    effects: Vec<E>,
}

impl<E> Default for Outbox<E> {
    fn default() -> Self {
        Self { effects: Vec::new() }
    }
}

impl<E> Outbox<E> {
    /// An empty outbox.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one effect.
    pub fn push(&mut self, effect: E) {
        self.effects.push(effect);
    }

    /// Takes everything out, oldest first, keeping the allocation.
    pub fn drain(&mut self) -> alloc::vec::Drain<'_, E> {
        self.effects.drain(..)
    }

    /// Whether nothing was asked for.
    pub fn is_empty(&self) -> bool {
        self.effects.is_empty()
    }

    /// How many effects wait.
    pub fn len(&self) -> usize {
        self.effects.len()
    }

    /// The waiting effects, oldest first.
    pub fn as_slice(&self) -> &[E] {
        &self.effects
    }
}
