//! What a command runs on, and how it is run.

use crate::error::{Error, Nothing};
use crate::spec::Spec;
use base::DatabaseId;
use base::database::{Database, EventClass};
use resp::Writer;

/// No reply that a count alone can blow up (HRANDFIELD with a negative one) gets longer than this.
pub const REPLY_BYTES_MAX: usize = 512 * 1024 * 1024;

/// Refuses a reply of more than [`REPLY_BYTES_MAX`].
pub(crate) fn check_length(bytes: usize) -> Result<(), Error> {
    if bytes > REPLY_BYTES_MAX { Err(Error::ReplyTooLong) } else { Ok(()) }
}

/// What a command does. It writes exactly one reply, or refuses and has then written and changed nothing.
pub type Execute = fn(&mut Context<'_>) -> Result<(), Error>;

/// What a command runs on. It is a pure function of this.
pub struct Context<'a> {
    /// The database, at one moment.
    pub db: &'a mut dyn Database,
    /// The name of that database, for commands that copy within it.
    pub database: DatabaseId,
    /// The other database that the command names (COPY … DB, MOVE), resolved by the gateway from
    /// [`Spec::target`]; `None` if it names none, or the selected one.
    pub target: Option<DatabaseId>,
    /// The request's words, the command's name first. [`resolve`](crate::resolve) has checked how many there are.
    pub args: &'a [&'a [u8]],
    /// Where the reply goes.
    pub reply: Writer<'a>,
    /// Decides what the command leaves to chance; logged with it.
    pub seed: u64,
    /// Whether it has found nothing before, and waited: then keys of a type that it can't take from hold nothing for it.
    pub has_waited: bool,
}

impl Context<'_> {
    /// Tells of a change that has taken something out of `key`, and that the key went with the last of it.
    pub(crate) fn tell_shrunk(&mut self, class: EventClass, event: &'static str, key: &[u8]) {
        self.db.notify(class, event, key);
        if self.db.kind(key).is_none() {
            self.db.notify(EventClass::Generic, "del", key);
        }
    }
}

/// Runs a command that [`resolve`](crate::resolve) found, and answers for it: its reply or its error. Says whether it
/// was carried out.
pub fn run(spec: &Spec, context: &mut Context<'_>) -> Result<(), Error> {
    let Some(execute) = spec.execute else {
        let error = Error::Other("ERR this command isn't answered by a shard");
        context.reply.error(&error);
        return Err(error);
    };
    let start = context.reply.position();
    execute(context).inspect_err(|error| {
        context.reply.truncate(start);
        match error {
            // Written for who can't wait; who can looks at what came of it.
            Error::WouldBlock(Nothing::Null) => context.reply.null(),
            Error::WouldBlock(Nothing::NullArray) => context.reply.null_array(),
            error => context.reply.error(error),
        }
    })
}
