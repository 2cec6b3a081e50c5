//! What words are to the guards. The lists were written for this project, from a general knowledge of English and a look at
//! the questions of BANKING77; they hold no data of others. Whatever is not in them must be the same in both questions.

use super::Guard;

/// Words that change nothing a guard looks at: articles, auxiliaries, courtesies and prepositions that are
/// interchangeable more often than not. Of verbs only those that are auxiliaries; no noun.
pub(super) const SILENT: &str = "
    an any some this that these those it its itself there such
    be am is are was were been being do does did doing done has having
    can could may might would will shall
    and if whether so then than as because but though although also just really actually basically simply
    quite very yet already still ever anymore now currently presently ok okay oh um uh erm hmm yeah yes please
    kindly thanks thank hi hello hey sir madam
    of in on at for with about into onto upon regarding concerning";

/// Words with a meaning of their own: `class: meaning, words that have it`.
pub(super) const MEANINGS: &[(Guard, &str)] = &[
    (
        Guard::Negation,
        "not: no never cannot nor neither none nothing nobody nowhere without hardly barely scarcely",
    ),
    (Guard::Negation, "except: excluding besides unless"),
    (Guard::Question, "who"),
    (Guard::Question, "whom"),
    (Guard::Question, "whose"),
    (Guard::Question, "when"),
    (Guard::Question, "where"),
    (Guard::Question, "why"),
    (Guard::Question, "how"),
    (Guard::Question, "what: which"),
    (Guard::Person, "i: me myself"),
    (Guard::Person, "my: mine"),
    (Guard::Person, "the"),
    (Guard::Person, "you: your yours yourself"),
    (Guard::Person, "he: him his himself"),
    (Guard::Person, "she: her hers herself"),
    (Guard::Person, "we: us our ours ourselves"),
    (Guard::Person, "they: them their theirs themselves"),
    (Guard::Direction, "from"),
    (Guard::Direction, "by"),
    (Guard::Date, "monday: mon"),
    (Guard::Date, "tuesday: tue tues"),
    (Guard::Date, "wednesday: wed"),
    (Guard::Date, "thursday: thu thur thurs"),
    (Guard::Date, "friday: fri"),
    (Guard::Date, "saturday"),
    (Guard::Date, "sunday"),
    (Guard::Date, "january: jan"),
    (Guard::Date, "february: feb"),
    (Guard::Date, "march"),
    (Guard::Date, "april: apr"),
    (Guard::Date, "june: jun"),
    (Guard::Date, "july: jul"),
    (Guard::Date, "august: aug"),
    (Guard::Date, "september: sep sept"),
    (Guard::Date, "october: oct"),
    (Guard::Date, "november: nov"),
    (Guard::Date, "december: dec"),
    (Guard::Date, "today"),
    (Guard::Date, "tomorrow"),
    (Guard::Date, "yesterday"),
    (Guard::Date, "tonight"),
    (Guard::Unit, "milligram: mg milligrams"),
    (Guard::Unit, "gram: grams gramme grammes"),
    (Guard::Unit, "kilogram: kg kilo kilos kilograms"),
    (Guard::Unit, "millilitre: ml milliliter milliliters millilitres"),
    (Guard::Unit, "litre: liter liters litres"),
    (Guard::Unit, "kilometre: km kilometer kilometers kilometres"),
    (Guard::Unit, "metre: meter meters metres"),
    (Guard::Unit, "centimetre: cm centimeter centimeters centimetres"),
    (Guard::Unit, "millimetre: mm millimeter millimeters millimetres"),
    (Guard::Unit, "mile: mi miles"),
    (Guard::Unit, "foot: ft feet"),
    (Guard::Unit, "inch: inches"),
    (Guard::Unit, "pound: lb lbs pounds quid gbp £"),
    (Guard::Unit, "ounce: oz ounces"),
    (Guard::Unit, "percent: % percentage pct"),
    (Guard::Unit, "degree: ° degrees"),
    (Guard::Unit, "dollar: $ dollars usd bucks buck"),
    (Guard::Unit, "euro: € euros eur"),
    (Guard::Unit, "yen: ¥ jpy"),
    (Guard::Unit, "rupee: ₹ rupees rs inr"),
    (Guard::Unit, "gigabyte: gb gigabytes"),
    (Guard::Unit, "megabyte: mb megabytes"),
    (Guard::Unit, "minute: min mins minutes"),
    (Guard::Unit, "hour: hr hrs hours"),
    (Guard::Unit, "day: days"),
    (Guard::Unit, "week: weeks"),
    (Guard::Unit, "month: months"),
    (Guard::Unit, "year: yr yrs years"),
];

/// What may stand for each other; inflected forms are put into their base before.
pub(super) const SYNONYMS: &[&str] = &[
    "accident crash",
    "account acct",
    "activate activation",
    "advice tip",
    "aeroplane airplane plane aircraft",
    "afraid scared",
    "allow permit let",
    "america american usa",
    "answer reply",
    "approximately roughly",
    "arrive arrival",
    "ask enquire inquire",
    "atm cashpoint",
    "baby infant",
    "begin start commence",
    "behaviour behavior",
    "big large",
    "bike bicycle",
    "britain uk",
    "broken defective faulty",
    "buy purchase",
    "calculate compute",
    "call phone telephone",
    "cancel cancellation",
    "car automobile",
    "centre center",
    "change alter modify",
    "cheque check",
    "child kid",
    "choose select choice",
    "cinema movies",
    "clothes clothing",
    "colour color",
    "company business firm",
    "complete finish",
    "contact reach",
    "correct right",
    "country nation",
    "customer client",
    "daily everyday",
    "decline reject refuse deny",
    "delete remove erase",
    "deliver delivery",
    "difference distinction",
    "doctor physician",
    "earth world",
    "effect impact",
    "email mail",
    "employee worker",
    "enough sufficient",
    "error mistake",
    "every each",
    "example instance",
    "explain describe clarify",
    "fast quick quickly rapid rapidly",
    "father dad daddy",
    "favour favor",
    "favourite favorite",
    "film movie",
    "find locate",
    "fix repair mend",
    "flat apartment",
    "fridge refrigerator",
    "fuel petrol gasoline",
    "garden yard",
    "get obtain acquire receive",
    "gift present",
    "glad happy",
    "grandfather grandpa granddad",
    "grandmother grandma granny",
    "happen occur",
    "hard difficult",
    "help assist assistance aid",
    "holiday vacation",
    "home house",
    "identity id identification",
    "ill sick",
    "illness sickness disease",
    "immediately instantly",
    "important significant",
    "improve enhance",
    "incorrect wrong",
    "information info details detail",
    "job occupation",
    "journey trip",
    "kind type sort",
    "laptop notebook",
    "lawyer attorney",
    "lift elevator",
    "little small",
    "location place",
    "lose missing misplace",
    "luggage baggage",
    "maths math mathematics",
    "mobile cell cellphone smartphone",
    "mother mom mum mommy mummy",
    "motorbike motorcycle",
    "must need",
    "near nearby",
    "neighbour neighbor",
    "odd strange weird",
    "often frequently",
    "operate function",
    "organise organize",
    "parcel package",
    "passcode password",
    "pavement sidewalk",
    "pay payment",
    "person someone somebody anyone anybody",
    "picture photo photograph image pic",
    "postcode zipcode",
    "prepare preparation",
    "price cost",
    "probability likelihood chance",
    "problem issue trouble",
    "programme program",
    "quantity amount",
    "raise increase",
    "realise realize",
    "reason cause",
    "recognise recognize",
    "refund reimburse reimbursement",
    "rent hire",
    "rich wealthy",
    "rubbish trash garbage",
    "rule regulation",
    "salary wage",
    "schedule timetable",
    "shop store",
    "soccer football",
    "soon shortly",
    "speak talk",
    "stop halt quit cease",
    "street road",
    "stupid dumb",
    "supermarket grocery",
    "taxi cab",
    "teacher instructor",
    "test exam examination",
    "theatre theater",
    "tired exhausted",
    "toilet bathroom restroom lavatory washroom",
    "trousers pants",
    "truck lorry",
    "tv television telly",
    "use utilise utilize",
    "verify verification",
    "want wish desire",
    "way method procedure",
    "website site",
    "whole entire",
];

/// Verbs whose regular forms are known: the base.
pub(super) const VERBS: &str = "
    abandon absorb abuse accept access accompany accuse achieve acquire act activate adapt add adjust admire
    admit adopt advance advertise advise affect afford agree aid aim alert allow alter amuse analyse analyze
    announce annoy answer apologise apologize appear apply appoint approve argue arrange arrest arrive ask
    assemble assess assign assist assume assure attach attack attend attract avoid bake balance ban bark base
    bathe beat beg behave believe belong bend bet bless blink block boil bomb book boost borrow bother bounce
    breathe breed brush burn calculate call camp cancel capture care carry cause cease celebrate challenge
    change charge chase chat cheat check cheer chew choke chop claim clap clarify clean clear climb close
    collapse collect combine comfort command commence comment commit communicate compare compete complain
    complete compose compute concern conclude conduct confirm confuse congratulate connect conquer conserve
    consider consist construct consult contact contain continue contribute control convert convince cook copy
    correct cough count cover crack crash crawl create criticise cross cry curl curse cycle damage dance dare
    date debate debit decide declare decline decorate decrease define delay delete delight deliver demand
    demonstrate deny depend deposit describe deserve design desire destroy detect determine develop devote
    diagnose dial dictate die diet differ digest disable disagree disappear disappoint discourage discover
    discuss dislike dismiss display disturb dive divide donate double doubt download drag drain dream dress
    drill drop drown dry dump dust earn edit educate elect email embarrass emerge emigrate emphasise employ
    enable encounter encourage end engage enjoy enquire ensure enter entertain erase escape establish estimate
    evaluate examine exchange excite excuse execute exercise exhibit exist exit expand expect expire explain
    explore export expose express extend face fail fancy fasten favour fear fetch figure file fill film finish
    fire fit fix flash flip float flow focus fold follow forbid force forecast forgive form format freelance
    frighten fry function fund gain gather generate govern grab graduate grant greet grill grip guarantee guard
    guess guide hack hammer hand handle happen harm hate head heal heat help hesitate highlight hint hire hope
    host hug hunt hurry identify ignore imagine imitate implement imply import impose impress improve include
    increase influence inform inject injure inquire insert inspect inspire install insult insure integrate
    intend interest interpret interrupt interview introduce invade invent invest investigate invite involve
    issue jail jog join joke judge jump justify kick kidnap kill kiss knit knock label lack laminate land last
    laugh launch lay leak learn lease lecture level license lift lighten like limit link list listen litigate
    live load locate lock login logout look love lower mail maintain manage manufacture mark marry master match
    matter measure melt memorise memorize mend mention merge migrate mine misplace miss mix modify monitor
    motivate mourn move mow multiply murder nail name narrate need negotiate nod note notice notify number obey
    object observe obtain occupy occur offend offer open operate oppose order organise organize outsource owe
    own pace pack paint park pass pat patch pause peel perform permit persuade phone pick pinch place plan plant
    play plead please pledge plug point poison polish pollute pop portray possess post pour practice practise
    praise pray predict prefer prepare present preserve press pretend prevent print proceed process
    procrastinate produce program progress prohibit promise promote pronounce propose prosecute protect protest
    prove provide publish pull pump punch punish purchase pursue push qualify question queue quote race rain
    raise rank rate reach react realise realize rebel recall receive recite recognise recognize recommend record
    recover recruit recycle reduce refer reflect reform refund refuse register regret regulate rehearse
    reinstall reject relate relax release relocate rely remain remark remember remind remove render renew rent
    repair repay repeat replace reply report request require rescue research resemble reserve reset resign
    resist resize resolve respond rest restart restore restrict retain retire retrieve return reunite reuse
    reveal reverse revert review reward rhyme risk rob roll root rotate row rub ruin rule rush sack sail salute
    satisfy save scan scare schedule score scream screw scrub seal search secure seem select sense separate
    serve settle sew shape share shave shelter shield ship shiver shop shout shower sigh sign simplify sketch
    skip slap slice slide slip slow smash smell smile smoke sneeze snore snow soak soften solve sort sound spare
    spark specialise specialize specify speed spell spill spin split spoil spray spread squeeze stack stain
    stamp stare start state stay steer step stir stop store strengthen stress stretch strip struggle study stuff
    submit subscribe subtract succeed suck sue suffer suggest suit supply support suppose surf surprise
    surrender survey survive suspect suspend swallow swap swear sweat sweep switch sync synchronise synchronize
    tackle talk tap target taste tax tear tempt tend terminate test text thank threaten tickle tidy tie tip top
    touch tour tow trace track trade train transfer transform translate trap travel tread treat trick trigger
    trim trust try tune turn twist type undergo unfold unfollow unfreeze uninstall unite unlock unpack unplug
    unsend unsubscribe update upgrade upload upset urge use utilise utilize vacuum validate vanish vary verify
    view visit volunteer vote wait walk wander want warm warn wash waste watch wave wed weigh whip whisper
    whistle wipe wire wish wonder work worry worship wound wrap yell zoom";

/// Verbs of irregular forms: `base past participle`.
pub(super) const IRREGULAR: &str = "
    become became become/begin began begun/bite bit bitten/blow blew blown/break broke broken/bring brought brought/
    build built built/buy bought bought/catch caught caught/choose chose chosen/come came come/deal dealt dealt/
    dig dug dug/draw drew drawn/drink drank drunk/drive drove driven/eat ate eaten/fall fell fallen/feed fed fed/
    feel felt felt/fight fought fought/find found found/fly flew flown/forget forgot forgotten/freeze froze frozen/
    get got gotten/give gave given/go went gone/grow grew grown/hang hung hung/hear heard heard/hide hid hidden/
    hold held held/keep kept kept/know knew known/lead led led/leave left left/lend lent lent/lose lost lost/
    make made made/mean meant meant/meet met met/pay paid paid/ride rode ridden/ring rang rung/rise rose risen/run ran run/
    say said said/see saw seen/seek sought sought/sell sold sold/send sent sent/shake shook shaken/shoot shot shot/
    show showed shown/sing sang sung/sink sank sunk/sit sat sat/sleep slept slept/speak spoke spoken/spend spent spent/
    stand stood stood/steal stole stolen/stick stuck stuck/strike struck struck/swim swam swum/take took taken/
    lie lay lain/teach taught taught/tell told told/think thought thought/throw threw thrown/understand understood understood/
    wake woke woken/wear wore worn/win won won/withdraw withdrew withdrawn/write wrote written/
    cut cut cut/hit hit hit/hurt hurt hurt/let let let/put put put/read read read/set set set/shut shut shut/
    cost cost cost/quit quit quit/undo undid undone/overcome overcame overcome/beat beat beaten/
    bend bent bent/bet bet bet/breed bred bred/burn burnt burnt/dream dreamt dreamt/forbid forbade forbidden/
    forgive forgave forgiven/lay laid laid/learn learnt learnt/spill spilt spilt/spin spun spun/split split split/
    spread spread spread/swear swore sworn/sweep swept swept/tear tore torn/upset upset upset/wind wound wound";
