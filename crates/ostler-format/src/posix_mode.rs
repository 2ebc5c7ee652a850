//! The bits of `st_mode` that objects carry: the type of file in the upper bits, permissions in the lower.

/// The bits that tell the type of file.
pub const S_IFMT: u32 = 0o170_000;
/// A directory.
pub const S_IFDIR: u32 = 0o040_000;
/// A regular file.
pub const S_IFREG: u32 = 0o100_000;
/// A symbolic link.
pub const S_IFLNK: u32 = 0o120_000;
/// Permissions, set-user-id, set-group-id and sticky: all that a mode may have beside its type.
pub const PERMISSION_BITS: u32 = 0o7777;

/// Returns whether `mode` is of type `kind` and has no bits beside type and permissions.
pub(crate) const fn is_of_type(mode: u32, kind: u32) -> bool {
    mode & !PERMISSION_BITS == kind
}
