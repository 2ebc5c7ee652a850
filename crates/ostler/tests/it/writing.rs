//! Commands that write: the same steps done by stock and by us end alike and leave the same repository.

use crate::fixture;
use crate::programs::{OSTLER, ended, link};
use ostler_testkit::listing::assert_same_files;
use ostler_testkit::oracle::{assert_sound, strays};
use ostler_testkit::stock::StockRepo;
use std::fs;
use std::path::Path;
use tempfile::TempDir;

/// Runs the steps with each program in a directory of its own, and compares after every step what was printed, the
/// status, the refs and the configuration; at the end, the checks of stock. `seen` may drop what may differ.
#[track_caller]
pub(crate) fn compare(steps: &[&str], prepare: impl Fn(&Path)) -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    let link = link(directory.path());
    let programs: [(&str, &Path); 3] = [
        ("stock", Path::new("ostree")),
        ("linked", &link),
        ("own", Path::new(OSTLER)),
    ];
    for (name, _) in programs {
        fixture::trees(&directory.path().join(name));
        prepare(&directory.path().join(name));
    }
    for step in steps {
        let [stock, linked, mut own] =
            programs.map(|(name, program)| ended(program, &directory.path().join(name), step));
        assert_eq!(linked, stock, "as ostree: {step}");
        if own.code == Some(2) {
            own.code = Some(1);
        }
        assert_eq!(own, stock, "as ostler: {step}");
        let states = programs.map(|(name, _)| state(&directory.path().join(name).join("repo")));
        assert_eq!(states[1], states[0], "after, as ostree: {step}");
        assert_eq!(states[2], states[0], "after, as ostler: {step}");
    }
    for (name, _) in programs {
        let repo = directory.path().join(name).join("repo");
        if name != "stock" && repo.is_dir() {
            assert_sound(&repo);
            assert_eq!(strays(&repo), Vec::<String>::new(), "{name}");
        }
    }
    directory
}

/// Returns the refs with their commits, the configuration, and the names of all objects.
fn state(repo: &Path) -> Vec<String> {
    if !repo.is_dir() {
        return Vec::new();
    }
    let mut state: Vec<String> = Vec::new();
    let stock = StockRepo::open(repo);
    let refs = stock.refs();
    if !refs.is_empty() {
        let names: Vec<&str> = refs.iter().map(String::as_str).collect();
        state.push(stock.run(&[&["rev-parse"], names.as_slice()].concat()));
    }
    state.extend(refs);
    state.push(stock.run(&["refs", "-A"]));
    state.push(fs::read_to_string(repo.join("config")).expect("a configuration"));
    let mut objects: Vec<String> = Vec::new();
    for directory in fs::read_dir(repo.join("objects")).expect("objects") {
        let directory = directory.expect("an entry").path();
        for object in fs::read_dir(&directory).expect("objects") {
            let object = object.expect("an entry").path();
            objects.push(object.strip_prefix(repo).expect("below it").display().to_string());
        }
    }
    objects.sort_unstable();
    state.extend(objects);
    state
}

const COMMIT: &str = "--repo=repo commit --fsync=false --timestamp=@1700000000";

fn commits(options: &[&str]) -> Vec<String> {
    options
        .iter()
        .map(|options| format!("{COMMIT} {options}"))
        .collect()
}

#[track_caller]
fn compare_commits(mode: &str, options: &[&str]) -> TempDir {
    let init = format!("--repo=repo init --mode={mode}");
    let steps: Vec<String> = std::iter::once(init).chain(commits(options)).collect();
    compare(&steps.iter().map(String::as_str).collect::<Vec<_>>(), |_| ())
}

#[test]
fn repositories_are_made_as_by_stock() {
    for mode in ["bare", "bare-user", "bare-user-only", "archive", "archive-z2"] {
        compare(
            &[
                &format!("--repo=repo init --mode={mode}"),
                "--repo=repo init --mode=archive",
                "--repo=repo refs",
                "--repo=repo config get core.mode",
            ],
            |_| (),
        );
    }
    compare(&["--repo=repo init", "--repo=repo init --mode=nonsense"], |_| ());
    compare(
        &["--repo=repo init --mode=archive --collection-id=org.example.One"],
        |_| (),
    );
    compare(&["--repo=repo init --mode=archive --collection-id=bad"], |_| ());
    compare(&["init"], |_| ());
}

#[test]
fn commits_have_the_ids_that_stock_gives_them() {
    let _directory = compare_commits(
        "archive",
        &[
            "-b main tree",
            "-b main --tree=dir=tree --tree=dir=overlay --table-output",
            "-b main --table-output tree",
            "-b other --tree=ref=main --tree=dir=overlay -s Subject -m Body",
            "-b other --tree=dir=overlay --subject=Another --body=Body --parent=none",
            "-b other --tree=dir=overlay --skip-if-unchanged",
            "-b main --tree=dir=tree --owner-uid=5 --owner-gid=6",
            "-b main --tree=dir=tree --owner-uid=5 --owner-gid=6 --skip-if-unchanged",
            "-b canonical --canonical-permissions tree",
            "-b read-only --mode-ro-executables tree",
            "-b based --base=main --owner-uid=3 overlay",
            "-b based --base=nowhere overlay",
            "-b plain --no-xattrs tree",
            "-b remote:branch tree",
            "--orphan tree",
            "--orphan --bind-ref=some/ref tree",
            "-b bound --bind-ref=z --bind-ref=a tree",
            "-b unbound --no-bindings tree",
            "-b data --add-metadata=z=uint32~1 --add-metadata-string=y=1 --add-metadata-string=a=b=c tree",
            "-b data --keep-metadata=a --add-metadata-string=n=1 --keep-metadata=z tree",
            "-b data --keep-metadata=nothing tree",
            "-b data --add-metadata-string=novalue tree",
            "-b data --add-metadata=a=[ tree",
            "-b data --add-metadata-string==x tree",
            "-b data --add-detached-metadata-string=note=seen tree",
            "-b twice -s first -s second tree",
            "--no-such-option tree",
            "tree",
            "-b none --tree=what tree",
            "-b none --tree=ref=nowhere",
            "-b none nowhere",
            "-b none tree/a",
            "-b none/.. tree",
            "-b none --parent=nowhere tree",
            "-b none --timestamp=garbage tree",
            "-b none --fsync=maybe tree",
            "-b none --owner-uid=x tree",
            "-b none --body-file=nowhere tree",
            // What a failed commit staged is taken up, and put away, by the next one.
            "-b main tree",
        ],
    );
}

#[test]
fn commits_into_every_mode_have_the_ids_that_stock_gives_them() {
    for mode in ["bare", "bare-user", "bare-user-only"] {
        let _directory = compare_commits(
            mode,
            &[
                "-b main tree",
                "-b main --tree=dir=tree --tree=dir=overlay --table-output",
                "-b main --tree=ref=main --tree=dir=tree --owner-uid=0 --owner-gid=0 --table-output",
                "-b main --canonical-permissions overlay",
            ],
        );
    }
}

#[test]
fn checkouts_of_hard_links_are_committed_as_by_stock() {
    // In bare-user-only repositories stock reads such files all the same.
    for mode in ["bare", "bare-user"] {
        let _directory = compare(
            &[
                &format!("--repo=repo init --mode={mode}"),
                &format!("{COMMIT} -b main tree"),
                "--repo=repo checkout -U main linked",
                &format!("{COMMIT} -b again --link-checkout-speedup --table-output linked"),
                &format!("{COMMIT} -b again --devino-canonical --table-output linked"),
                &format!("{COMMIT} -b again -I --owner-uid=9 --table-output linked"),
            ],
            |_| (),
        );
    }
}

#[test]
fn lists_of_paths_change_commits_as_in_stock() {
    let steps: Vec<String> = std::iter::once("--repo=repo init --mode=archive".to_owned())
        .chain(commits(&[
            "-b main --statoverride=modes tree",
            "-b main --skip-list=skipped tree",
            "-b main --statoverride=modes --skip-list=skipped tree",
            "-b main --statoverride=unmatched tree",
            "-b main --skip-list=unmatched-skips tree",
            "-b main --statoverride=malformed tree",
            "-b main --statoverride=nowhere tree",
            "-b main --body-file=message tree",
            "-b main --body-file=message -m other -s subject tree",
        ]))
        .collect();
    let _directory = compare(
        &steps.iter().map(String::as_str).collect::<Vec<_>>(),
        |directory| {
            let write = |name: &str, text: &str| fs::write(directory.join(name), text).expect("our own file");
            write("modes", "=420 /sub/run\n2048 /a\n\n");
            write("skipped", "/big\n/sub/deep\n");
            write("unmatched", "420 /nowhere\n");
            write("unmatched-skips", "/nowhere\n");
            write("malformed", "420\n");
            write("message", "first\n\nsecond\n");
        },
    );
}

#[test]
fn times_of_commits_are_read_as_in_stock() {
    let stamp = |text: &str| format!("--repo=repo commit --fsync=false -b main tree --timestamp={text}");
    let steps: Vec<String> = std::iter::once("--repo=repo init --mode=archive".to_owned())
        .chain(
            [
                "@0",
                "@1234567890",
                "2023-12-01",
                "2023-12-01~10:00:00",
                "2023-12-01T10:00:00Z",
                "2023-12-01~10:00:00~+0530",
                "2023-12-01~10:00~UTC",
                "Fri,~01~Dec~2023~10:00:00~+0000",
                "garbage",
            ]
            .map(stamp),
        )
        .collect();
    let _directory = compare(&steps.iter().map(String::as_str).collect::<Vec<_>>(), |_| ());
}

#[test]
fn refs_are_changed_as_by_stock() {
    let commit = format!("{COMMIT} -b main tree");
    let second = format!("{COMMIT} -b main overlay");
    let _directory = compare(
        &[
            "--repo=repo init --mode=archive",
            &commit,
            &second,
            "--repo=repo refs --create=os/stable main^",
            "--repo=repo refs --create=os/stable main",
            "--repo=repo refs --create=os/stable --force main",
            "--repo=repo refs --create=os/testing main^",
            "--repo=repo refs --create=os main",
            "--repo=repo refs --create=main/below main",
            "--repo=repo refs --create=origin:os/stable main",
            "--repo=repo refs --create=new nowhere",
            "--repo=repo refs --create=new",
            "--repo=repo refs --create=-new main",
            "--repo=repo refs --create=latest -A os/stable",
            "--repo=repo refs --create=latest -A os/testing",
            "--repo=repo refs --create=latest -A os/testing --force",
            "--repo=repo refs --create=lost -A nowhere",
            "--repo=repo refs --delete os/testing",
            "--repo=repo refs --delete os/stable",
            "--repo=repo refs --delete latest",
            "--repo=repo refs --delete nowhere",
            "--repo=repo refs --delete",
            "--repo=repo refs --delete origin:os",
            "--repo=repo refs --delete os",
        ],
        |_| (),
    );
}

#[test]
fn collection_refs_are_changed_as_by_stock() {
    let commit = format!("{COMMIT} -b main tree");
    let _directory = compare(
        &[
            "--repo=repo init --mode=archive --collection-id=org.example.One",
            &commit,
            "--repo=repo refs -c --create=org.example.Two:other main",
            "--repo=repo refs -c --create=org.example.One:same main",
            "--repo=repo refs -c --create=nocollection main",
            "--repo=repo refs -c org.example.Two",
            "--repo=repo refs -c --delete org.example.Two",
            "--repo=repo refs -c org.example.Two",
        ],
        |_| (),
    );
}

#[test]
fn a_collection_that_the_user_binds_to_wins_over_the_repositorys_own_as_in_stock() {
    let commit =
        format!("{COMMIT} -b main --add-metadata-string=ostree.collection-binding=org.example.Two tree");
    let _directory = compare(
        &[
            "--repo=repo init --mode=archive --collection-id=org.example.One",
            &commit,
        ],
        |_| (),
    );
}

#[test]
fn configuration_is_changed_as_by_stock() {
    let _directory = compare(
        &[
            "--repo=repo init --mode=archive",
            "--repo=repo config set core.fsync false",
            "--repo=repo config set core.fsync true",
            "--repo=repo config set --group=remote~\"x.y\" url http://example.org/",
            "--repo=repo config get --group=remote~\"x.y\" url",
            "--repo=repo config unset --group=remote~\"x.y\" url",
            "--repo=repo config unset core.fsync",
            "--repo=repo config unset core.fsync",
            "--repo=repo config set core",
            "--repo=repo config set core.a",
        ],
        |_| (),
    );
}

#[test]
fn checkouts_hold_what_those_of_stock_hold() {
    let commit = format!("{COMMIT} -b main tree");
    let second = format!("{COMMIT} -b other overlay");
    for mode in ["archive", "bare-user", "bare-user-only"] {
        let directory = compare(
            &[
                &format!("--repo=repo init --mode={mode}"),
                &commit,
                &second,
                "--repo=repo checkout -U main whole",
                "--repo=repo checkout -U main whole",
                "--repo=repo checkout -U --union other whole",
                "--repo=repo checkout -U main kept",
                "--repo=repo checkout -U --union-add other kept",
                "--repo=repo checkout -U --union-identical other kept",
                "--repo=repo checkout -U --union-identical main kept",
                "--repo=repo checkout -U -C main copied",
                "--repo=repo checkout -U --subpath=/sub main part",
                "--repo=repo checkout -U --subpath=sub/deep main deep",
                "--repo=repo checkout -U --subpath=/a main file",
                "--repo=repo checkout -U --subpath=/nowhere main none",
                "--repo=repo checkout -U --subpath=/nowhere --allow-noent main none",
                "--repo=repo checkout -U nowhere none",
                "--repo=repo checkout -U main",
                "--repo=repo checkout -U --union --union-add main none",
                "--repo=repo checkout",
            ],
            |_| (),
        );
        for name in ["whole", "copied", "part", "deep", "file", "main"] {
            let of = |program: &str| directory.path().join(program).join(name);
            assert_same_files(&of("stock"), &of("own"));
        }
    }
}

#[test]
fn hard_links_are_required_where_stock_requires_them() {
    let commit = format!("{COMMIT} -b main tree");
    for mode in ["archive", "bare", "bare-user", "bare-user-only"] {
        let _directory = compare(
            &[
                &format!("--repo=repo init --mode={mode}"),
                &commit,
                "--repo=repo checkout -U -H main linked",
                "--repo=repo checkout -U -H --subpath=/sub main sub",
            ],
            |_| (),
        );
    }
}
