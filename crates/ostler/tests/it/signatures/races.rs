//! Several who sign one commit at once: nobody's signature is lost.

use super::Scene;
use super::engines::make_ed25519;
use ostler_format::signatures::DUMMY_SIGNATURES;
use ostler_format::{ED25519_SIGNATURES, signatures};
use ostler_testkit::command::{attempt, describe};
use std::thread;

#[test]
fn seven_of_ours_and_one_of_stock_who_sign_at_once_lose_nothing() {
    const OURS: usize = 7;
    const COMMITS: usize = 3;
    let scene = Scene::new("archive");
    for number in 0..OURS {
        let (secret, _) = make_ed25519(&scene, &format!("key{number}"));
        scene.write(&format!("secret{number}"), secret);
    }
    for round in 0..COMMITS {
        let subject = format!("--subject={round}");
        let commit = scene.commit("main", &[&subject, "--add-detached-metadata-string=note=kept"]);
        thread::scope(|scope| {
            for number in 0..OURS {
                let (scene, commit) = (&scene, &commit);
                scope.spawn(move || {
                    let keys = format!("--keys-file=secret{number}");
                    let mut sign = scene.ours(&["sign", &keys, commit]);
                    let output = attempt(&mut sign);
                    assert!(output.status.success(), "{}", describe(&sign, &output));
                });
            }
            let mut stock = scene.stock().command();
            stock
                .args(["sign", "-s", "dummy", &commit, "by-stock"])
                .env("OSTREE_DUMMY_SIGN_ENABLED", "1");
            scope.spawn(move || assert!(attempt(&mut stock).status.success()));
        });
        let detached = scene.detached(&commit);
        let mut ours = signatures(&detached, ED25519_SIGNATURES).expect("signatures");
        ours.sort_unstable();
        ours.dedup();
        assert_eq!(ours.len(), OURS);
        assert_eq!(
            signatures(&detached, DUMMY_SIGNATURES),
            Ok(vec![&b"by-stock"[..]])
        );
        assert_eq!(detached.get_str("note"), Some("kept"));
    }
}
