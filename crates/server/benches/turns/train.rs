//! Trains the judgement of pauses, and shows what it is worth: `cargo bench -p antiphon-server --bench turns -- train`.
//!
//! Each pause of the turns, and the end of each, is heard by the embedded engines as in a call, and what is known then is weighed by a
//! logistic regression. Nothing is trained on the telephone prompts. What is shown of a speaker comes from weights that were trained on all
//! others; the phrases of the embedded voice, which has only one speaker, are taken apart into five.

use std::time::Duration;

use antiphon_core::dialog::pause::{CUES, Cues, Expected, Pace};
use antiphon_core::{Priority, Requester, SttInput, SttOptions};
use antiphon_stack::{self as stack, config};
use anyhow::{Context, Result};
use comfy_table::{Table, presets};
use futures_util::{StreamExt, stream};

use crate::stimuli::{self, Group, Stimulus};

const RATE: usize = 16_000;
/// A pause is judged once it has lasted so long, in samples: 100 ms.
const NOTICED: usize = RATE / 10;
/// What the turn detector hears at most: 8 s.
const WINDOW: usize = 8 * RATE;
/// Into how many parts the phrases of one voice are taken.
const PARTS: usize = 5;
/// How strongly large weights are avoided, and how the regression descends.
const RIDGE: f32 = 1.0;
/// How many times as much short answers count as they are many: most turns of a call are short, and few turns here are.
const SHORT_ANSWERS: f32 = 1.5;
const STEPS: usize = 6_000;
const RATE_OF_DESCENT: f32 = 0.3;
/// No turn ends sooner: the words are not known before.
const SOONEST: Duration = Duration::from_millis(224);
/// The limit on silence that is shipped.
const LATEST: Duration = Duration::from_millis(1_500);
/// The mean waits at which the shares of the turns that are cut off are shown, in milliseconds.
const WAITS: [f32; 6] = [300.0, 400.0, 520.0, 600.0, 800.0, 1_000.0];

type Weights = [f32; CUES];

/// A pause, and what was known of it.
struct Pause {
    group: Group,
    /// The number of its turn.
    turn: usize,
    speaker: String,
    cues: Cues,
    sound: f32,
    text: String,
    /// How long it lasts; `None` at the end of a turn.
    length: Option<Duration>,
}

/// Trains, and prints what came of it.
#[expect(clippy::print_stdout, reason = "the figures are what this program is for")]
pub(crate) fn run(runtime: &tokio::runtime::Runtime, telephone: bool, verbose: bool) -> Result<()> {
    let pauses = runtime.block_on(pauses(telephone))?;
    if verbose {
        for pause in &pauses {
            let Pause { group, sound, text, length, .. } = pause;
            let length = length.map_or("end".to_owned(), |length| length.as_millis().to_string());
            println!("{}\t{length}\t{sound:.3}\t{:.3}\t{text}", group.name(), pause.cues.likelihood());
        }
    }
    let given: Vec<f32> = pauses.iter().filter_map(|p| Some(p.length?.as_secs_f32().ln())).collect();
    let mean = given.iter().sum::<f32>() / given.len() as f32;
    let spread = (given.iter().map(|l| (l - mean).powi(2)).sum::<f32>() / given.len() as f32).sqrt();
    let shape = std::f32::consts::PI / (spread * 3_f32.sqrt());
    println!("pauses within turns: {}; median {:.0} ms, shape {shape:.2}", given.len(), 1_000.0 * mean.exp());

    let all: Vec<&Pause> = pauses.iter().filter(|pause| pause.group != Group::Prompts).collect();
    let shipped = fit(&all, &|_| true);
    println!("const WEIGHTS: [f32; CUES] = {shipped:.3?};");

    let mut table = Table::new();
    table.load_style(presets::UTF8_HORIZONTAL_ONLY);
    let waits = WAITS.map(|wait| format!("at {wait:.0} ms"));
    let mut header = vec!["cut off, of all turns with pauses".to_owned(), "AUC".to_owned()];
    header.extend(waits);
    header.extend(["wait at 10 %", "at 5 %"].map(str::to_owned));
    table.set_header(header);
    let nothing = |_: usize| false;
    let sound = |cue: usize| cue == 1 || cue == 2;
    let words = |cue: usize| cue > 2;
    for (name, uses) in [
        ("silence alone", &nothing as &dyn Fn(usize) -> bool),
        ("with the turn detector", &sound),
        ("with the words", &words),
        ("with both", &|_| true),
    ] {
        let likelihoods = cross_validated(&pauses, &|cue| cue == 0 || uses(cue));
        table.add_row(line(name, &pauses, &likelihoods, |_| true));
        if name == "with both" {
            for group in Group::ALL {
                table.add_row(line(group.name(), &pauses, &likelihoods, |p| p.group == group));
            }
        }
    }
    println!("{table}");
    for certainty in [0.5, 0.6, 0.7, 0.8, 0.85, 0.9, 0.95, 0.97, 0.99] {
        let likelihoods = cross_validated(&pauses, &|_| true);
        let (cut, wait) = outcome(&pauses, &likelihoods, certainty, &|p| p.group != Group::Short);
        let (_, short) = outcome(&pauses, &likelihoods, certainty, &|p| p.group == Group::Short);
        println!(
            "certainty {certainty:.2}: cut off {:.0} %, wait {wait:.0} ms; short answers {short:.0} ms",
            100.0 * cut
        );
    }
    Ok(())
}

/// One row of the table.
fn line(
    name: &str,
    pauses: &[Pause],
    likelihoods: &[f32],
    of: impl Fn(&Pause) -> bool + Copy,
) -> Vec<String> {
    let with_pauses =
        |pause: &Pause| of(pause) && (pause.group != Group::Short || name == Group::Short.name());
    let curve: Vec<(f32, f32)> = (1..400)
        .map(|step| {
            let odds = (step as f32 / 20.0 - 6.0).exp();
            outcome(pauses, likelihoods, odds / (1.0 + odds), &with_pauses)
        })
        .collect();
    let cut_at = |wait: f32| curve.iter().filter(|(_, w)| *w <= wait).map(|(cut, _)| *cut).reduce(f32::min);
    let wait_at = |cut: f32| curve.iter().filter(|(c, _)| *c <= cut).map(|(_, wait)| *wait).reduce(f32::min);
    let percent =
        |share: Option<f32>| share.map_or("-".to_owned(), |share| format!("{:.0} %", 100.0 * share));
    let ms = |wait: Option<f32>| wait.map_or("-".to_owned(), |wait| format!("{wait:.0} ms"));
    let mut line = vec![name.to_owned(), format!("{:.3}", auc(pauses, likelihoods, of))];
    line.extend(WAITS.map(|wait| percent(cut_at(wait))));
    line.extend([0.1, 0.05].map(|cut| ms(wait_at(cut))));
    line
}

/// Hears all turns up to each of their pauses, and to their ends.
async fn pauses(telephone: bool) -> Result<Vec<Pause>> {
    let stack = stack::build(&config::load(None, None)?.config, &stack::BuildContext::default())?;
    let engines = &stack.engines;
    let detector = engines.turn.as_ref().context("no turn detector")?;
    let mut all = Vec::new();
    for (turn, stimulus) in stimuli::all(engines.tts.as_ref()).await?.iter().enumerate() {
        let by_telephone = telephone.then(|| stimulus.by_telephone());
        let Stimulus { group, speaker, samples, pauses } = by_telephone.as_ref().unwrap_or(stimulus);
        let ends = pauses.iter().map(|pause| (pause.start, Some(pause.len())));
        for (end, length) in ends.chain([(samples.len(), None)]) {
            let mut heard = samples[..(end + NOTICED).min(samples.len())].to_vec();
            heard.resize(end + NOTICED, 0);
            let pieces = heard.chunks(1_600).map(|piece| SttInput::Audio(piece.into()));
            let input: Vec<SttInput> = pieces.chain([SttInput::Flush]).collect();
            let options = SttOptions { is_speech: true, ..SttOptions::new(Requester::local()) };
            let mut transcripts = engines.stt.transcribe(options, stream::iter(input).boxed());
            let text = transcripts.next().await.context("no transcript")??.text;
            let window = heard[heard.len().saturating_sub(WINDOW)..].into();
            let sound = detector.complete(window, Priority::LiveTurn).await?;
            let speaker =
                if speaker == "voice" { format!("voice {}", turn % PARTS) } else { speaker.clone() };
            let cues = Cues::new(Some(sound), &text, Expected::Anything);
            let length = length.map(|samples| Duration::from_secs_f32(samples as f32 / RATE as f32));
            all.push(Pause { group: *group, turn, speaker, cues, sound, text, length });
        }
    }
    Ok(all)
}

/// The likelihood that each pause ends its turn, from weights that were trained on other speakers.
fn cross_validated(pauses: &[Pause], uses: &dyn Fn(usize) -> bool) -> Vec<f32> {
    let mut speakers: Vec<&str> = pauses.iter().map(|pause| pause.speaker.as_str()).collect();
    speakers.sort_unstable();
    speakers.dedup();
    let mut likelihoods = vec![0.0; pauses.len()];
    for speaker in speakers {
        let others: Vec<&Pause> =
            pauses.iter().filter(|p| p.speaker != speaker && p.group != Group::Prompts).collect();
        let weights = fit(&others, uses);
        for (pause, likelihood) in pauses.iter().zip(&mut likelihoods) {
            if pause.speaker == speaker {
                *likelihood = likely(&weights, pause);
            }
        }
    }
    likelihoods
}

fn likely(weights: &Weights, pause: &Pause) -> f32 {
    let sum: f32 = weights.iter().zip(pause.cues.values()).map(|(weight, cue)| weight * cue).sum();
    1.0 / (1.0 + (-sum).exp())
}

/// Logistic regression by gradient descent, with only the cues that are to be used.
fn fit(pauses: &[&Pause], uses: &dyn Fn(usize) -> bool) -> Weights {
    let mut weights = [0.0; CUES];
    for _ in 0..STEPS {
        let mut gradient = [0.0; CUES];
        for pause in pauses {
            let weight = if pause.group == Group::Short { SHORT_ANSWERS } else { 1.0 };
            let error = weight * (likely(&weights, pause) - f32::from(u8::from(pause.length.is_none())));
            for (slope, cue) in gradient.iter_mut().zip(pause.cues.values()) {
                *slope += error * cue;
            }
        }
        for (at, (weight, slope)) in weights.iter_mut().zip(gradient).enumerate() {
            let ridge = if at == 0 { 0.0 } else { RIDGE * *weight };
            if uses(at) {
                *weight -= RATE_OF_DESCENT * (slope + ridge) / pauses.len() as f32;
            }
        }
    }
    weights
}

/// The share of the turns that are cut off, and the mean wait at the end of the others in milliseconds.
fn outcome(pauses: &[Pause], likelihoods: &[f32], certainty: f32, of: &dyn Fn(&Pause) -> bool) -> (f32, f32) {
    let (mut turns, mut cut, mut waits) = (0, 0, Vec::new());
    let mut at = 0;
    while at < pauses.len() {
        let end = at + pauses[at..].iter().take_while(|pause| pause.turn == pauses[at].turn).count();
        if of(&pauses[at]) {
            turns += 1;
            let mut pace = Pace::default();
            let mut is_cut = false;
            for (pause, likelihood) in pauses[at..end].iter().zip(&likelihoods[at..end]) {
                let wait = pace.wait_for(*likelihood, certainty).clamp(SOONEST, LATEST);
                match pause.length {
                    Some(length) if wait < length => is_cut = true,
                    Some(length) => pace.paused(length),
                    None if !is_cut => waits.push(wait.as_secs_f32() * 1_000.0),
                    None => {}
                }
            }
            cut += usize::from(is_cut);
        }
        at = end;
    }
    (cut as f32 / turns.max(1) as f32, waits.iter().sum::<f32>() / waits.len().max(1) as f32)
}

/// How often an end is found likelier than a pause within a turn: the area under the curve of a receiver's operating characteristic.
fn auc(pauses: &[Pause], likelihoods: &[f32], of: impl Fn(&Pause) -> bool) -> f32 {
    let of_these = |is_end: bool| {
        let pairs = pauses.iter().zip(likelihoods);
        let these = pairs.filter(|(pause, _)| of(pause) && pause.length.is_none() == is_end);
        these.map(|(_, likelihood)| *likelihood).collect::<Vec<f32>>()
    };
    let (ends, others) = (of_these(true), of_these(false));
    let better: f32 = ends
        .iter()
        .flat_map(|end| {
            others.iter().map(move |other| {
                if end > other {
                    1.0
                } else if end < other {
                    0.0
                } else {
                    0.5
                }
            })
        })
        .sum();
    better / (ends.len() * others.len()) as f32
}
