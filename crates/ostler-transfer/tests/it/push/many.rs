//! Several pushers at once: nothing is lost, and each is told the truth.

use super::scene::{Scene, Updates};
use ostler_format::RefName;
use ostler_transfer::push::Fate;
use std::thread;

#[test]
fn pushes_to_refs_of_their_own_all_arrive() {
    let scene = Scene::new();
    let commit = scene.source.stock.rev_parse("os/a").parse().unwrap();
    let other = scene.source.stock.rev_parse("os/b").parse().unwrap();
    let names: Vec<RefName> = (0..8)
        .map(|number| format!("ref{number}").parse().unwrap())
        .collect();
    thread::scope(|scope| {
        for (number, name) in names.iter().enumerate() {
            let scene = &scene;
            let tip = if number % 2 == 0 { commit } else { other };
            scope.spawn(move || {
                let pushed = scene
                    .push(&Updates::from([(name.clone(), Some(tip))]))
                    .pushed
                    .unwrap();
                assert_eq!(pushed.refs[0].fate, Fate::Accepted);
            });
        }
    });
    assert_eq!(scene.target.refs().len(), names.len());
    scene.target.fsck();
    assert_eq!(scene.quarantined(), Vec::<String>::new());
}

#[test]
fn of_those_who_move_one_ref_at_once_one_does_and_the_others_are_told() {
    let scene = Scene::new();
    let name: RefName = "contended".parse().unwrap();
    let commits: Vec<_> = (0..4)
        .map(|number| {
            scene
                .source
                .commit_of(&format!("candidate{number}"))
                .parse()
                .unwrap()
        })
        .collect();
    let fates: Vec<_> = thread::scope(|scope| {
        let pushes: Vec<_> = commits
            .iter()
            .map(|commit| {
                let (scene, name) = (&scene, name.clone());
                scope.spawn(move || {
                    let updates = Updates::from([(name, Some(*commit))]);
                    (*commit, scene.push(&updates).pushed.unwrap().refs[0].fate.clone())
                })
            })
            .collect();
        pushes.into_iter().map(|push| push.join().unwrap()).collect()
    });
    let accepted: Vec<_> = fates.iter().filter(|(_, fate)| *fate == Fate::Accepted).collect();
    assert_eq!(accepted.len(), 1, "{fates:?}");
    assert_eq!(scene.target.rev_parse("contended"), accepted[0].0.to_string());
    for (_, fate) in &fates {
        assert!(matches!(fate, Fate::Accepted | Fate::Refused(_)), "{fates:?}");
    }
    scene.target.fsck();
}
