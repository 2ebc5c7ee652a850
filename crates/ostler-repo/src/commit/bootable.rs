//! The metadata of a commit that a machine can boot from: which kernel it has.

use crate::error::{RepoError, Result};
use crate::transaction::Transaction;
use ostler_format::gvariant::{Value, VarDict};
use ostler_format::{Checksum, DirTree, ObjectName, ObjectType, TreeDir};

/// The key that says that a commit has a kernel.
const BOOTABLE: &str = "ostree.bootable";
/// The key that says which.
const LINUX: &str = "ostree.linux";
/// Where kernels are: each in a directory named after its release.
const MODULES: [&str; 3] = ["usr", "lib", "modules"];
/// The file that makes such a directory one of a kernel.
const KERNEL: &str = "vmlinuz";

/// Returns the metadata with that of the one kernel in the tree, in the order in which libostree writes it.
///
/// # Errors
/// [`RepoError::Refused`] if there is none or more than one; what loading dirtrees returns.
pub(super) fn with_kernel(
    transaction: &Transaction<'_>,
    root: &Checksum,
    metadata: &VarDict,
) -> Result<VarDict> {
    let release = kernel(transaction, root)?;
    let mut metadata = metadata.clone();
    metadata.append(BOOTABLE, Value::Bool(true));
    metadata.append(LINUX, Value::Str(release));
    Ok(metadata.in_hash_order())
}

/// Returns the release of the kernel.
fn kernel(transaction: &Transaction<'_>, root: &Checksum) -> Result<String> {
    let refused = |detail: String| RepoError::Refused { detail };
    let mut tree = load(transaction, root)?;
    let mut path = String::new();
    for name in MODULES {
        path.push('/');
        path.push_str(name);
        let found = find(&tree, name).ok_or_else(|| refused(format!("No such file or directory: {path}")))?;
        tree = load(transaction, &found.tree)?;
    }
    let mut releases = Vec::new();
    for dir in &tree.dirs {
        let modules = load(transaction, &dir.tree)?;
        let is_kernel =
            modules.files.iter().any(|file| &*file.name == KERNEL) || find(&modules, KERNEL).is_some();
        releases.extend(is_kernel.then(|| dir.name.to_string()));
    }
    match releases.as_slice() {
        [] => Err(refused(format!("No kernel found in {path}"))),
        [release] => Ok(release.clone()),
        _ => Err(refused(format!("Multiple kernels found in {path}"))),
    }
}

fn find<'t>(tree: &'t DirTree, name: &str) -> Option<&'t TreeDir> {
    tree.dirs.iter().find(|dir| &*dir.name == name)
}

fn load(transaction: &Transaction<'_>, tree: &Checksum) -> Result<DirTree> {
    let name = ObjectName::new(*tree, ObjectType::DirTree);
    let bytes = transaction.load_metadata(&name)?;
    DirTree::parse(&bytes).map_err(RepoError::format(format!("object {name}")))
}
