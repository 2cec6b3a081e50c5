use super::*;

/// Pairs written to look alike and mean something else: the guard that is meant to notice, and two questions.
const DIFFERENT: &str = include_str!("different.tsv");
/// Pairs that mean the same.
const SAME: &str = include_str!("same.tsv");

#[test]
fn dump() {
    let mut bad = 0;
    for line in DIFFERENT.lines() {
        let mut f = line.split('\t');
        let (g, a, b) = (f.next().unwrap(), f.next().unwrap(), f.next().unwrap());
        let d = differs(a, b);
        if d.is_none() || format!("{:?}", d.unwrap()).to_lowercase() != g {
            println!("{g} {d:?} | {a} | {b}\n   {:?}\n   {:?}", show(a), show(b));
        }
        if differs(b, a) != d {
            println!("ASYM");
        }
        bad += usize::from(d.is_none());
    }
    println!("MISSED {bad}");
    let mut blocked = 0;
    for line in SAME.lines() {
        let (a, b) = line.split_once('\t').unwrap();
        if let Some(g) = differs(a, b) {
            blocked += 1;
            println!("{g:?} | {a} | {b}\n   {:?}\n   {:?}", show(a), show(b));
        }
    }
    println!("BLOCKED {blocked}");
}

fn show(a: &str) -> Vec<String> {
    Reading::of(a).symbols.iter().map(|s| format!("{:?}:{}", s.guard, s.text)).collect()
}
