//! Reads the source of this workspace for the tests beside it, which hold it to the rules that the compiler and
//! clippy don't know: who may depend on whom, how long files and functions may get, what is never written down.
//!
//! Nothing here is part of the product, and nothing here changes a file. The reading of Rust is a lexer's, not a
//! parser's: exact about comments and literals, good enough about the rest.
#![forbid(unsafe_code)]

/// Rust source with comments and literals blanked out, its functions, and where its tests are.
pub mod source;
/// The files of the workspace.
pub mod tree;
