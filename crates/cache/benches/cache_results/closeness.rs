//! Measures how close questions are in meaning to the texts that answer them, from which the threshold of semantic invalidation is chosen.

use std::collections::HashMap;
use std::io::Read;
use std::path::Path;

use antiphon_core::{Embed, Priority};
use flate2::read::GzDecoder;
use serde_json::Value;
use tokio::runtime::Runtime;

use crate::given;

/// The most passages that a search finds, as many as a turn is given.
const LIMIT: usize = 3;
/// Texts embedded in one call.
const BATCH: usize = 32;
/// The cosine from which on `antiphon-memory` finds a text.
const FLOOR: f32 = 0.35;
const THRESHOLDS: [f32; 8] = [0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4];

/// A data set: texts, and queries with the texts that answer them.
struct Set {
    name: &'static str,
    texts: Vec<String>,
    queries: Vec<(String, Vec<usize>)>,
}

#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn report(runtime: &Runtime, embed: &dyn Embed, testdata: &Path) {
    println!("queries dropped when a text comes or goes, by the cosine from which on they are");
    println!(
        "  answered: of those whose answer it is; found: of those whose best {LIMIT} it enters or leaves"
    );
    println!(
        "  (floor: of texts from {FLOOR} on; any: of all texts); others: of those whose answer it is not"
    );
    for set in [xquad(), dstc10(testdata), locomo(testdata)] {
        let cosines = cosines(runtime, embed, &set);
        println!("{}: {} texts, {} queries", set.name, set.texts.len(), set.queries.len());
        let mut gold: Vec<f32> = gold(&set).map(|(query, text)| cosines[query][text]).collect();
        gold.sort_by(f32::total_cmp);
        let at = |share: f64| gold[((gold.len() - 1) as f64 * share) as usize];
        let [p1, p5, p50] = [0.01, 0.05, 0.5].map(at);
        println!("  cosine of query and answer: p1 {p1:.3}, p5 {p5:.3}, p50 {p50:.3}");
        println!("  from     answered  found, floor  found, any    others");
        for threshold in THRESHOLDS {
            let dropped = |pairs: &[f32]| share(pairs, |cosine| cosine >= threshold);
            let (floor, any) = (found(&cosines, FLOOR), found(&cosines, -1.0));
            println!(
                "  {threshold:.2} {:10.2} % {:11.2} % {:9.2} % {:7.2} %",
                dropped(&gold),
                dropped(&floor),
                dropped(&any),
                dropped(&others(&set, &cosines)),
            );
        }
    }
}

fn gold(set: &Set) -> impl Iterator<Item = (usize, usize)> + '_ {
    let queries = set.queries.iter().enumerate();
    queries.flat_map(|(query, (_, answers))| answers.iter().map(move |answer| (query, *answer)))
}

/// The cosines of each query with each text that does not answer it.
fn others(set: &Set, cosines: &[Vec<f32>]) -> Vec<f32> {
    let queries = set.queries.iter().zip(cosines);
    let others = queries.flat_map(|((_, answers), row)| {
        row.iter().enumerate().filter(|(text, _)| !answers.contains(text)).map(|(_, cosine)| *cosine)
    });
    others.collect()
}

/// The cosines of each query with each text that it finds.
fn found(cosines: &[Vec<f32>], floor: f32) -> Vec<f32> {
    let best = |row: &Vec<f32>| {
        let mut row = row.clone();
        row.sort_by(|a, b| b.total_cmp(a));
        row.truncate(LIMIT);
        row.retain(|cosine| *cosine >= floor);
        row
    };
    cosines.iter().flat_map(best).collect()
}

fn share(all: &[f32], meant: impl Fn(f32) -> bool) -> f64 {
    100.0 * all.iter().filter(|cosine| meant(**cosine)).count() as f64 / all.len() as f64
}

fn cosines(runtime: &Runtime, embed: &dyn Embed, set: &Set) -> Vec<Vec<f32>> {
    let vectors = |texts: Vec<String>| -> Vec<Vec<f32>> {
        let batches = texts.chunks(BATCH).map(|batch| embed.embed(batch.to_vec(), Priority::Batch));
        batches.flat_map(|vectors| runtime.block_on(vectors).expect("embeds")).collect()
    };
    let texts = vectors(set.texts.clone());
    let queries = vectors(set.queries.iter().map(|(query, _)| query.clone()).collect());
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f32>();
    queries.iter().map(|query| texts.iter().map(|text| cosine(query, text)).collect()).collect()
}

fn xquad() -> Set {
    let (texts, questions) = given::xquad();
    let queries = questions.into_iter().map(|(question, answer)| (question, vec![answer])).collect();
    Set { name: "XQuAD: written questions, passages of an encyclopaedia", texts, queries }
}

/// Only the entries that answer at least one question.
fn dstc10(testdata: &Path) -> Set {
    let folder = testdata.join("knowledge_dstc10");
    let packed = std::fs::File::open(folder.join("knowledge.jsonl.gz")).expect("readable");
    let mut entries = String::new();
    GzDecoder::new(packed).read_to_string(&mut entries).expect("gzip");
    let entries: HashMap<String, String> = json_lines(&entries)
        .map(|entry| {
            // Some entries are about a whole town and not a single hotel.
            let words = ["entity", "question", "answer"].map(|part| entry[part].as_str().unwrap_or_default());
            (given::text(&entry["id"]), words.join(" "))
        })
        .collect();
    let dialogues = std::fs::read_to_string(folder.join("dialogues.jsonl")).expect("readable");
    let mut set =
        Set { name: "DSTC10: recognised speech, answers of hotels", texts: vec![], queries: vec![] };
    for dialogue in json_lines(&dialogues).filter(|dialogue| dialogue["needs_knowledge"] == true) {
        let said = dialogue["turns"].as_array().and_then(|turns| turns.last()).expect("turns");
        let answers = dialogue["gold"].as_array().expect("answers").iter().map(|id| {
            let text = &entries[&given::text(id)];
            set.texts.iter().position(|known| known == text).unwrap_or_else(|| {
                set.texts.push(text.clone());
                set.texts.len() - 1
            })
        });
        let answers = answers.collect();
        set.queries.push((given::text(&said["text"]), answers));
    }
    set
}

/// What two persons said to each other, and questions about it with the turns that answer them.
fn locomo(testdata: &Path) -> Set {
    let mut set = Set { name: "LoCoMo: what persons said, asked for later", texts: vec![], queries: vec![] };
    let mut files: Vec<_> = std::fs::read_dir(testdata.join("memory_locomo"))
        .expect("readable")
        .map(|file| file.expect("readable").path())
        .collect();
    files.sort();
    for file in files {
        let talk: Value =
            serde_json::from_str(&std::fs::read_to_string(file).expect("readable")).expect("JSON");
        let mut places = HashMap::new();
        let sessions = talk.as_object().expect("an object").values().filter_map(Value::as_array);
        for turn in sessions.flatten().filter(|turn| turn["dia_id"].is_string()) {
            places.insert(given::text(&turn["dia_id"]), set.texts.len());
            set.texts.push(given::text(&turn["text"]));
        }
        for asked in talk["qa"].as_array().expect("questions") {
            let evidence = asked["evidence"].as_array().expect("turns").iter();
            let answers: Vec<_> =
                evidence.filter_map(|id| places.get(id.as_str().unwrap_or_default()).copied()).collect();
            set.queries.push((given::text(&asked["question"]), answers));
        }
    }
    set
}

fn json_lines(text: &str) -> impl Iterator<Item = Value> + '_ {
    text.lines().map(|line| serde_json::from_str(line).expect("JSON"))
}
