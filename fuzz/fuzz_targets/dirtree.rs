//! Dirtrees: both readers agree, and what is read is written as it was.
#![no_main]

use libfuzzer_sys::fuzz_target;
use ostler_format::{DirTree, DirTreeView};

fuzz_target!(|data: &[u8]| {
    let view = DirTreeView::parse(data);
    let Ok(tree) = DirTree::parse(data) else {
        assert!(view.is_err(), "the view takes what the tree refuses");
        return;
    };
    let view = view.expect("the tree takes what the view refuses");
    assert!(
        view.files()
            .map(|file| file.to_owned())
            .eq(tree.files.iter().cloned())
    );
    assert!(
        view.dirs()
            .map(|dir| dir.to_owned())
            .eq(tree.dirs.iter().cloned())
    );
    assert_eq!(tree.to_bytes(), data);
});
