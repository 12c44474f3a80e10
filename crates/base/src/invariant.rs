//! A broken promise stops the process, by name.

/// Stops the process with the invariant's name if it doesn't hold. For what must be true whatever peers, clients
/// and disks do; what they send wrong is answered, not asserted.
#[macro_export]
macro_rules! invariant {
    ($name:expr, $holds:expr) => {
        if !$holds {
            panic!("broken invariant: {}", $name);
        }
    };
    ($name:expr, $holds:expr, $($context:tt)+) => {
        if !$holds {
            panic!("broken invariant: {}: {}", $name, format_args!($($context)+));
        }
    };
}
