use std::sync::atomic::AtomicBool;

use antiphon_core::{BoxFuture, Embed, EmbedCard, PersonId};

use super::*;

/// The number of questions after which the cache has learned to serve replies to similar ones.
const MANY: usize = 400;

/// Answers a question by its number, and compares answers if it can.
#[derive(Default)]
struct Scholar {
    asked: AtomicUsize,
    compared: AtomicUsize,
    /// As a judge it says of any two answers that they say the same.
    is_unfit: bool,
    /// When set, every answer says something else, also to the same question.
    is_fickle: AtomicBool,
}

impl Llm for Scholar {
    fn card(&self) -> LlmCard<'_> {
        LlmCard { name: "scholar", model: "m" }
    }

    fn chat(&self, request: ChatRequest) -> BoxStream<'static, Result<ChatDelta>> {
        let words = request.messages.last().map(|message| message.content.clone()).unwrap_or_default();
        let compares = words.starts_with("Question: ");
        let answer = if compares {
            assert_eq!(request.priority, Priority::Batch);
            self.compared.fetch_add(1, Ordering::Relaxed);
            self.verdict(&words)
        } else {
            let topic = topic(&words);
            let number = self.asked.fetch_add(1, Ordering::Relaxed);
            let opinion = if self.is_fickle.load(Ordering::Relaxed) { "bad" } else { "good" };
            format!("It is {} said of {topic} that {} it is {opinion}.", flavour(number), flavour(number / 4))
        };
        let done = ChatDelta::Done { finish: FinishReason::Stop, usage: Usage::default() };
        let late = async move {
            sleep(Duration::from_millis(100)).await;
            stream::iter([Ok(ChatDelta::Text(answer)), Ok(done)])
        };
        stream::once(late).flatten().boxed()
    }
}

impl Scholar {
    fn verdict(&self, words: &str) -> String {
        let answer = |label: &str| {
            let from = words.find(label).map_or(0, |at| at + label.len());
            words[from..].lines().next().unwrap_or_default().to_owned()
        };
        let (a, b) = (answer("First answer: "), answer("Second answer: "));
        let examined = || {
            let lines = crate::EXAMINATION.lines();
            let mut pairs = lines.map(|line| line.split('\t').collect::<Vec<_>>());
            let same = |line: &Vec<&str>| (line[2] == a && line[3] == b) || (line[2] == b && line[3] == a);
            pairs.find(same).is_some_and(|line| line[0] == "same")
        };
        let said =
            |text: &str| text.split(' ').filter(|word| word.starts_with("topic") || *word == "bad.").count();
        let same = self.is_unfit || examined() || (said(&a) > 0 && said(&a) == said(&b));
        if same { "Yes.".to_owned() } else { "no".to_owned() }
    }
}

fn topic(text: &str) -> &str {
    let word = text.split(' ').find(|word| word.starts_with("topic"));
    word.map_or("nothing", |word| word.trim_end_matches('?'))
}

/// A word by which answers differ although they say the same.
fn flavour(number: usize) -> &'static str {
    ["often", "commonly", "widely", "usually"][number % 4]
}

/// Gives all questions about a topic the same vector, or nearly the same.
struct Topics {
    takes: Duration,
}

impl Embed for Topics {
    fn card(&self) -> EmbedCard<'_> {
        EmbedCard { name: "topics", model: "m", dimensions: 64 }
    }

    fn embed(&self, texts: Vec<String>, _: Priority) -> BoxFuture<'static, Result<Vec<Vec<f32>>>> {
        let takes = self.takes;
        Box::pin(async move {
            sleep(takes).await;
            Ok(texts.iter().map(|text| vector(text)).collect())
        })
    }
}

fn vector(text: &str) -> Vec<f32> {
    let hash = blake3::hash(topic(text).as_bytes());
    let spread = hash.as_bytes().iter().flat_map(|byte| [byte & 15, byte >> 4]);
    let mut vector: Vec<f32> = spread.map(|half| f32::from(half) - 7.5).collect();
    vector[0] += text.len() as f32 / 20.0;
    vector
}

struct Meaning {
    place: Place,
    scholar: Arc<Scholar>,
    semantic: Arc<SemanticReplies>,
}

fn meaning(scholar: Scholar, takes: Duration) -> Meaning {
    let mut place = place(ReplyRules::default());
    let scholar = Arc::new(scholar);
    let semantic = SemanticReplies::new("scholar".into(), scholar.clone(), Arc::new(Topics { takes }), 0.05);
    let semantic = Arc::new(semantic.expect("a good bound"));
    let llm = CachedLlm::new(scholar.clone(), "m".to_owned(), place.cache.clone(), ReplyRules::default());
    place.llm = llm.with_semantic(Some(semantic.clone()));
    Meaning { place, scholar, semantic }
}

impl Meaning {
    /// Asks about each of these topics in two wordings. Returns how many replies were found by their meaning.
    async fn ask_of(&self, topics: std::ops::Range<usize>) -> usize {
        let mut hits = 0;
        for topic in topics {
            for wording in wordings(topic) {
                hits += usize::from(self.place.ask(request(&[&wording])).await.1 == Some(CacheHit::Semantic));
                // The cache learns from an answer in the background, for which it is given time here.
                sleep(Duration::from_secs(20)).await;
            }
        }
        hits
    }
}

fn wordings(topic: usize) -> [String; 2] {
    // Topics are named with letters, because the guards compare numbers in questions by themselves.
    let name: String = topic.to_string().bytes().map(|digit| char::from(digit - b'0' + b'a')).collect();
    [format!("How do I handle topic{name}?"), format!("How can I handle topic{name} please?")]
}

#[tokio::test(start_paused = true)]
async fn other_words_are_answered_once_it_was_right_often_enough() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    assert_eq!(meaning.ask_of(0..5).await, 0, "nothing is known yet");
    meaning.ask_of(5..MANY).await;
    let hits = meaning.ask_of(MANY..MANY + 50).await;
    assert!(hits >= 40, "{hits}");
    let seen = meaning.semantic.statistics();
    assert_eq!((seen.disagreed, seen.not_compared, seen.is_judge_fit), (0, 0, Some(true)));
    let counts = meaning.place.cache.counts();
    let asked = 2 * (MANY + 50) as u64;
    assert_eq!((counts.hits, counts.hits + counts.misses), (seen.hits, asked), "each is counted once");
}

#[tokio::test(start_paused = true)]
async fn what_was_learned_outlives_a_restart() {
    let before = meaning(Scholar::default(), Duration::from_millis(5));
    before.ask_of(0..MANY).await;
    let after = meaning(Scholar::default(), Duration::from_millis(5));
    assert!(after.semantic.restore(&before.semantic.evidence()));
    assert!(after.ask_of(MANY..MANY + 50).await > 0);
}

#[tokio::test(start_paused = true)]
async fn a_model_that_cannot_compare_is_not_believed() {
    let meaning = meaning(Scholar { is_unfit: true, ..Scholar::default() }, Duration::from_millis(5));
    assert_eq!(meaning.ask_of(0..MANY).await, 0);
    let seen = meaning.semantic.statistics();
    assert_eq!((seen.agreed, seen.is_judge_fit), (0, Some(false)));
    assert!(meaning.scholar.compared.load(Ordering::Relaxed) < 30, "it is examined once");
}

#[tokio::test(start_paused = true)]
async fn when_answers_change_nothing_is_given_any_more() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    meaning.ask_of(0..MANY).await;
    // Of each pair the first question is answered as always and the second with something else.
    for topic in MANY..2 * MANY {
        let [first, second] = wordings(topic);
        meaning.scholar.is_fickle.store(false, Ordering::Relaxed);
        meaning.place.ask(request(&[&first])).await;
        sleep(Duration::from_secs(20)).await;
        meaning.scholar.is_fickle.store(true, Ordering::Relaxed);
        meaning.place.ask(request(&[&second])).await;
        sleep(Duration::from_secs(20)).await;
    }
    assert!(meaning.semantic.statistics().disagreed > 0, "{:?}", meaning.semantic.statistics());
    let mut hits = 0;
    for topic in 2 * MANY..2 * MANY + 50 {
        hits += meaning.ask_of(topic..topic + 1).await;
    }
    assert_eq!(hits, 0);
}

#[tokio::test(start_paused = true)]
async fn what_came_of_memories_is_given_to_the_same_words_only() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    meaning.ask_of(0..MANY).await;
    let personal = |wording: &str| {
        let mut request = request(&[wording]);
        request.reuse = Some(Reuse { person: PersonId::parse("alice"), ..reuse() });
        request
    };
    for topic in MANY..MANY + 20 {
        let [first, second] = wordings(topic);
        meaning.place.ask(personal(&first)).await;
        sleep(Duration::from_secs(20)).await;
        assert_eq!(meaning.place.ask(personal(&second)).await.1, None);
        assert_eq!(meaning.place.ask(request(&[&second])).await.1, None, "nor to anybody else");
        assert_eq!(meaning.place.ask(personal(&first)).await.1, Some(CacheHit::Exact));
    }
}

#[tokio::test(start_paused = true)]
async fn an_agent_may_want_the_same_words_only() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    meaning.ask_of(0..MANY).await;
    for topic in 0..20 {
        let mut strict = request(&[&format!("How could I handle {}", &wordings(topic)[0][16..])]);
        strict.reuse = Some(Reuse { other_words: false, ..reuse() });
        assert_eq!(meaning.place.ask(strict.clone()).await.1, None);
        assert_eq!(meaning.place.ask(strict).await.1, Some(CacheHit::Exact));
    }
}

#[tokio::test(start_paused = true)]
async fn another_tenant_is_not_answered() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    meaning.ask_of(0..MANY).await;
    for topic in 0..MANY {
        let stranger = of_tenant("b", request(&[&wordings(topic)[1]]));
        assert_eq!(meaning.place.ask(stranger).await.1, None);
    }
}

#[tokio::test(start_paused = true)]
async fn a_slow_embedder_holds_nobody_up() {
    let meaning = meaning(Scholar::default(), Duration::from_secs(1));
    meaning.ask_of(0..2).await;
    let began = Instant::now();
    meaning.place.ask(request(&[&wordings(2)[0]])).await;
    assert_eq!(began.elapsed(), Duration::from_millis(120));
}

#[tokio::test(start_paused = true)]
async fn what_has_left_the_cache_is_not_given() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    meaning.ask_of(0..MANY).await;
    let entries = meaning.semantic.statistics().entries;
    meaning.place.now.fetch_add(2 * 3_600_000, Ordering::Relaxed);
    let asked = meaning.scholar.asked.load(Ordering::Relaxed);
    let others = (0..50).map(|topic| format!("How could I handle {}", &wordings(topic)[0][16..]));
    for other in others {
        assert_eq!(meaning.place.ask(request(&[&other])).await.1, None);
        sleep(Duration::from_secs(20)).await;
    }
    assert_eq!(meaning.scholar.asked.load(Ordering::Relaxed), asked + 50);
    assert!(meaning.semantic.statistics().entries < entries + 50, "they leave the index as well");
}

#[tokio::test(start_paused = true)]
async fn an_answer_to_the_same_words_is_found_by_its_meaning_from_then_on() {
    let meaning = meaning(Scholar::default(), Duration::from_millis(5));
    let asked = request(&["How do I handle topica?"]);
    meaning.place.ask(asked.clone()).await;
    sleep(Duration::from_secs(1)).await;
    let begun_anew = self::meaning(Scholar::default(), Duration::from_millis(5));
    let llm = CachedLlm::new(
        begun_anew.scholar.clone(),
        "m".to_owned(),
        meaning.place.cache.clone(),
        ReplyRules::default(),
    );
    let llm = llm.with_semantic(Some(begun_anew.semantic.clone()));
    assert_eq!(begun_anew.semantic.statistics().entries, 0);
    let deltas: Vec<_> = llm.chat(asked).collect().await;
    assert_eq!(deltas.first(), Some(&Ok(ChatDelta::FromCache(CacheHit::Exact))));
    sleep(Duration::from_secs(1)).await;
    assert_eq!(begun_anew.semantic.statistics().entries, 1);
}
