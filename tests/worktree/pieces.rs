//! The first line of a pack, which names the commits that end its history, however it is cut on its way into the sandbox.
//! Runs a part of `checkout.sh` alone; `checkout` has the whole.

use crate::support::sh;

const SCRIPT: &str = include_str!("../../src/controllers/task/checkout/checkout.sh");

/// Lets the script read `line` once for each place at which it can be cut; what each has taken the line for.
fn follow(line: &str) -> Vec<Result<String, std::io::ErrorKind>> {
    let directory = tempfile::tempdir().unwrap();
    let begin = SCRIPT.find("\nfollow() {").expect("it follows the pack");
    let length = SCRIPT[begin..].find("\n# Puts the pack").expect("then it puts the pack away");
    let functions = &SCRIPT[begin..begin + length];
    let cuts: Vec<usize> = (0..=line.len()).collect();
    for cut in &cuts {
        let place = directory.path().join(cut.to_string());
        std::fs::create_dir(&place).unwrap();
        for (name, content) in [("pack", ""), ("pack.1", &line[..*cut]), ("rest", &line[*cut..])] {
            std::fs::write(place.join(name), content).unwrap();
        }
    }
    let run = format!(
        "{functions}\nfor cut in *; do (cd $cut; incoming=. follow pack > out) & done
        sleep 1; for cut in *; do cat $cut/rest >> $cut/pack.1; : > $cut/pack.end; done; wait"
    );
    sh(directory.path(), &run);
    let taken = |cut: &usize| {
        let place = directory.path().join(cut.to_string());
        if place.join("odd").exists() {
            return Err(std::io::ErrorKind::InvalidData);
        }
        std::fs::read_to_string(place.join("shallow")).map_err(|error| error.kind())
    };
    cuts.iter().map(taken).collect()
}

#[test]
fn two_ids_stay_two_wherever_they_are_cut() {
    let (first, second) = ("1a".repeat(20), "2b".repeat(20));
    for taken in follow(&format!("{first} {second}\n")) {
        assert_eq!(taken, Ok(format!("{first}\n{second}\n")));
    }
    for taken in follow("\n") {
        assert_eq!(taken, Ok(String::new()), "all of the history");
    }
}

#[test]
fn what_is_no_id_is_refused() {
    for odd in ["1a".repeat(40) + "0", "1A".repeat(20), "../../config".to_owned()] {
        for taken in follow(&format!("{odd}\n")) {
            assert_eq!(taken, Err(std::io::ErrorKind::InvalidData), "{odd}");
        }
    }
}
