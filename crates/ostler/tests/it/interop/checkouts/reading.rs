//! Reading random commits: both programs list, print and compare the same.

use super::{Scene, TREES};
use crate::interop::{BOTH, Who, both_alike};
use crate::programs::OSTLER;
use ostler_testkit::command::{attempt, command};
use ostler_testkit::random::Random;
use std::collections::BTreeSet;

impl Scene {
    /// Asserts that both print the same for some arguments. What is on disk stock lists in the order of the disk.
    #[track_caller]
    fn reads_alike(&self, arguments: &[&str]) {
        let all = [&["--repo=repo"], arguments].concat();
        let [stock, ours] = BOTH.map(|who| self.lines(who, &all));
        assert_eq!(ours, stock, "{} {arguments:?}", self.mode);
    }

    /// Returns the lines that a program prints, in whatever order, and whether it succeeds.
    fn lines(&self, who: Who, arguments: &[&str]) -> (BTreeSet<String>, bool) {
        let mut command = command(match who {
            Who::Stock => "ostree",
            Who::Ours => OSTLER,
        });
        let output = attempt(command.current_dir(self.at(who, ".")).args(arguments));
        let printed = String::from_utf8_lossy(&output.stdout);
        let lines = printed.split(['\n', '\0']).map(str::to_owned).collect();
        (lines, output.status.success())
    }

    /// Lists, prints and compares the commits.
    #[track_caller]
    fn read(&self, random: &mut Random) {
        for number in [0, TREES - 1] {
            let tree = format!("tree{number}");
            let files: Vec<&str> = self.paths[number]
                .iter()
                .map(|path| path.trim_end_matches('/'))
                .collect();
            self.reads_alike(&["show", &tree]);
            self.reads_alike(&["log", "--raw", &tree]);
            self.reads_alike(&["ls", "-R", "-C", "-X", &tree]);
            self.reads_alike(&["ls", "-R", "--nul-filenames-only", &tree]);
            for _ in 0..2 {
                let paths: Vec<&str> = (0..3).map(|_| *random.pick(&files)).collect();
                self.reads_alike(&[&["ls", &tree], &paths[..]].concat());
                self.reads_alike(&[&["ls", "-d", "-X", &tree], &paths[..]].concat());
                // Stock does not find what links with `..` lead to.
                let on_disk = self.directory.path().join(format!("tree-{number}"));
                if !on_disk.join(paths[0]).is_symlink() {
                    self.compared(&[&["cat", &tree], &paths[..1]].concat());
                }
            }
            for other in [number, (number + 1) % TREES] {
                let commit = format!("tree{other}");
                let directory = self.directory.path().join(format!("tree-{other}"));
                let directory = directory.to_str().expect("a name in UTF-8");
                self.reads_alike(&["diff", &tree, &commit]);
                self.reads_alike(&["diff", "--stats", "--fs-diff", &tree, &commit]);
                self.reads_alike(&["diff", &tree, directory]);
                self.reads_alike(&["diff", "--no-xattrs", directory, &tree]);
                self.reads_alike(&["diff", "--owner-uid=0", "--owner-gid=0", &tree, directory]);
            }
        }
    }

    /// Asserts that both print the same bytes.
    #[track_caller]
    fn compared(&self, arguments: &[&str]) {
        let _printed = both_alike(self.directory.path(), &[&["--repo=repo"], arguments].concat());
    }
}

#[test]
fn random_commits_are_read_alike_in_every_mode() {
    for (seed, mode) in ["archive", "bare", "bare-user", "bare-user-only"]
        .iter()
        .enumerate()
    {
        let mut random = Random::new(50 + seed as u64);
        Scene::new(mode, &mut random).read(&mut random);
    }
}
