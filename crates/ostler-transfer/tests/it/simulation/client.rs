//! A client: reads the summary or a ref, then commit, trees and content, an object a step; whoever goes by the summary takes a
//! static delta in place of those, if there is one.

use super::laws::{Laws, listed};
use super::seat::Seat;
use super::stage::Stage;
use super::world::commit_path;
use ostler_format::delta::Superblock;
use ostler_testkit::random::Random;
use ostler_transfer::{Result, Store as _};

/// Pulls a ref.
pub(crate) fn pull(stage: &Stage, me: usize, name: &str, random: &mut Random) {
    pull_by(stage, me, name, random.chance(50));
}

/// Pulls a ref that is found in the summary, or in its own file.
pub(crate) fn pull_by(stage: &Stage, me: usize, name: &str, by_summary: bool) {
    // A play that is over ends the pull as well.
    drop(try_pull(stage, me, name, by_summary));
    let _met = stage.recover_from_fate(me);
}

fn try_pull(stage: &Stage, me: usize, name: &str, by_summary: bool) -> Result<()> {
    let seat = Seat::new(stage, me, None);
    stage.begin(me, "pull")?;
    let commit = if by_summary {
        let signature = seat.get("summary.sig", u64::MAX)?;
        let before = stage.overlaps();
        let summary = seat.get("summary", u64::MAX)?;
        if let (Some(summary), Some(signature)) = (&summary, &signature)
            && before == stage.overlaps()
            && !stage.world.fits(summary, signature)
        {
            stage.accuse(
                me,
                "the summary does not fit the signature that was read before it",
            );
        }
        summary.and_then(|bytes| listed(&bytes).remove(name))
    } else {
        let bytes = seat.get(&format!("refs/heads/{name}"), u64::MAX)?;
        bytes.map(|bytes| String::from_utf8_lossy(&bytes).trim_end().to_owned())
    };
    let since = stage.clock();
    let Some(commit) = commit else { return Ok(()) };
    if by_summary && try_delta(stage, me, &seat, &commit, since)? {
        return Ok(());
    }
    let mut open = vec![commit_path(&commit)];
    while let Some(path) = open.pop() {
        let Some(bytes) = seat.get(&path, u64::MAX)? else {
            stage.judge(me, |_, now| Laws::missed(&path, since, now));
            return Ok(());
        };
        let Some(object) = stage.world.object(&path).filter(|object| object.bytes == bytes) else {
            stage.accuse(me, &format!("I7: {path} is not what its name says"));
            return Ok(());
        };
        open.extend(object.children.iter().cloned());
    }
    Ok(())
}

/// Reads a static delta: the superblock, then the parts that it names. Returns whether there was one.
fn try_delta(stage: &Stage, me: usize, seat: &Seat<'_>, commit: &str, since: u64) -> Result<bool> {
    for path in stage.world.deltas_to(commit) {
        let Some(bytes) = seat.get(path, u64::MAX)? else {
            continue;
        };
        let superblock = Superblock::parse(&bytes).expect("that of stock");
        let dir = path.trim_end_matches("superblock");
        for number in 0..superblock.parts.len() {
            let part = format!("{dir}{number}");
            match seat.get(&part, u64::MAX)? {
                None => stage.judge(me, |_, now| Laws::missed(&part, since, now)),
                Some(bytes)
                    if stage
                        .world
                        .delta_file(&part)
                        .is_some_and(|(whole, _)| whole == bytes) => {}
                Some(_) => stage.accuse(me, &format!("I7: {part} is not what was made")),
            }
        }
        return Ok(true);
    }
    Ok(false)
}
