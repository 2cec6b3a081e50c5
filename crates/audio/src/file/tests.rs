use super::*;
use crate::testing::{correlation, noise, speech};
use crate::{FileEncoder, FileFormat, Law, encode_file};
use proptest::prelude::*;

const MINUTE: Duration = Duration::from_mins(1);

/// The first 1.5 s of `read_speech/spk1_snt1.wav`, written by other programs: see the folder's README. The number
/// is the encoder's delay in samples, where nothing in the file (or nobody who reads it) tells it.
const FIXTURES: &[(&str, usize, &[u8])] = &[
    ("mp3.mp3", 0, include_bytes!("../../tests/data/mp3.mp3")),
    ("vorbis.ogg", 0, include_bytes!("../../tests/data/vorbis.ogg")),
    ("aac.m4a", 1_024, include_bytes!("../../tests/data/aac.m4a")),
    ("opus.webm", 0, include_bytes!("../../tests/data/opus.webm")),
    ("opus.mp4", 0, include_bytes!("../../tests/data/opus.mp4")),
    ("opus.ogg", 0, include_bytes!("../../tests/data/opus.ogg")),
];

/// A WAV file with any `fmt` and a `data` chunk that claims `claimed` bytes.
fn wav(format: &[u8], data: &[u8], claimed: u32) -> Vec<u8> {
    let mut file = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
    file.extend((format.len() as u32).to_le_bytes());
    file.extend(format);
    file.extend(b"data");
    file.extend(claimed.to_le_bytes());
    file.extend(data);
    file
}

fn fmt(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let block = channels * bits / 8;
    let mut format = Vec::new();
    format.extend(tag.to_le_bytes());
    format.extend(channels.to_le_bytes());
    format.extend(rate.to_le_bytes());
    format.extend((rate * u32::from(block)).to_le_bytes());
    format.extend(block.to_le_bytes());
    format.extend(bits.to_le_bytes());
    format
}

/// WAVE_FORMAT_EXTENSIBLE around a sub-format.
fn extensible(tag: u16, channels: u16, rate: u32, bits: u16) -> Vec<u8> {
    let mut format = fmt(0xFFFE, channels, rate, bits);
    format.extend(22u16.to_le_bytes());
    format.extend(bits.to_le_bytes());
    format.extend(((1u32 << channels) - 1).to_le_bytes());
    format.extend(tag.to_le_bytes());
    format.extend(b"\x00\x00\x00\x00\x10\x00\x80\x00\x00\xaa\x00\x38\x9b\x71");
    format
}

fn decode(file: &[u8]) -> AudioChunk {
    decode_file(file, MINUTE).unwrap()
}

#[test]
fn every_sample_format_of_wav_is_read() {
    let samples = speech(500);
    let floats = samples.iter().map(|&sample| f32::from(sample) / 32_768.0);
    let cases: [(&str, Vec<u8>, Vec<u8>); 8] = [
        ("16 bit", fmt(1, 1, 8_000, 16), samples.iter().flat_map(|s| s.to_le_bytes()).collect()),
        (
            "24 bit",
            fmt(1, 1, 8_000, 24),
            samples.iter().flat_map(|s| [[0].as_slice(), &s.to_le_bytes()].concat()).collect(),
        ),
        (
            "32 bit",
            fmt(1, 1, 8_000, 32),
            samples.iter().flat_map(|s| (i32::from(*s) << 16).to_le_bytes()).collect(),
        ),
        ("float", fmt(3, 1, 8_000, 32), floats.clone().flat_map(f32::to_le_bytes).collect()),
        ("double", fmt(3, 1, 8_000, 64), floats.clone().flat_map(|s| f64::from(s).to_le_bytes()).collect()),
        ("extensible", extensible(1, 1, 8_000, 16), samples.iter().flat_map(|s| s.to_le_bytes()).collect()),
        ("extensible float", extensible(3, 1, 8_000, 32), floats.flat_map(f32::to_le_bytes).collect()),
        (
            "stereo",
            fmt(1, 2, 8_000, 16),
            samples.iter().flat_map(|s| [s.to_le_bytes(), s.to_le_bytes()].concat()).collect(),
        ),
    ];
    for (name, format, data) in cases {
        let read = decode(&wav(&format, &data, data.len() as u32));
        assert_eq!(&*read.samples, samples, "{name}");
        assert_eq!(read.rate, SampleRate::HZ_8000);
    }
}

#[test]
fn eight_bit_and_g711_wav_are_read() {
    let bytes: Vec<u8> = (0..=255).collect();
    let read = decode(&wav(&fmt(1, 1, 8_000, 8), &bytes, 256));
    let expected: Vec<i16> = bytes.iter().map(|&byte| (i16::from(byte) - 128) << 8).collect();
    assert_eq!(&*read.samples, expected);
    for (tag, law) in [(6, Law::A), (7, Law::Mu)] {
        let format = [fmt(tag, 1, 8_000, 8), vec![0, 0]].concat();
        let read = decode(&wav(&format, &bytes, 256));
        let expected: Vec<i16> = bytes.iter().map(|&byte| law.decode(byte)).collect();
        assert_eq!(&*read.samples, expected, "{law:?}");
    }
}

#[test]
fn a_wav_that_breaks_off_or_streams_gives_what_is_there() {
    let samples = speech(4_321);
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    for claimed in [u32::MAX, 1_000_000, 0x7FFF_FFFF] {
        let read = decode(&wav(&fmt(1, 1, 8_000, 16), &data, claimed));
        assert_eq!(&*read.samples, samples, "claims {claimed}");
        let read = decode(&wav(&fmt(1, 1, 8_000, 16), &data[..data.len() - 1], claimed));
        assert_eq!(&*read.samples, &samples[..4_320], "cut within a sample, claims {claimed}");
    }
}

#[test]
fn a_wav_that_was_written_into_a_pipe_is_read_to_its_end() {
    let samples = speech(4_321);
    let data: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
    let length = data.len() as u32;
    for (file_length, data_length) in [
        (0, length),
        (0, 0),
        (36, 0),
        (u32::MAX, 0),
        (u32::MAX, u32::MAX),
        (0x7FFF_FFFF, 0x7FFF_FFFF),
        // What sox writes.
        (0x7FFF_F024, 0x7FFF_F000),
    ] {
        let mut file = wav(&fmt(1, 1, 8_000, 16), &data, data_length);
        file[4..8].copy_from_slice(&file_length.to_le_bytes());
        assert_eq!(&*decode(&file).samples, samples, "the file claims {file_length}, its data {data_length}");
        assert!(!is_longer(Cursor::new(&file), Duration::from_secs(1)).unwrap(), "{data_length}");
    }
    // A length of 0 is taken for real if no more bytes follow.
    let empty = wav(&fmt(1, 1, 8_000, 16), &[], 0);
    assert!(matches!(decode_file(&empty, MINUTE), Err(FileError::Undecodable { .. })));
    // Bytes after audio of a known length are not read as audio.
    let tagged = [wav(&fmt(1, 1, 8_000, 16), &data, length), b"LIST\x04\0\0\0INFO".to_vec()].concat();
    assert_eq!(decode(&tagged).samples.len(), samples.len());
}

#[test]
fn a_compressed_file_that_breaks_off_gives_its_whole_packets() {
    let audio = AudioChunk::new(SampleRate::HZ_16000, speech(160_000));
    for format in [FileFormat::Flac, FileFormat::Opus, FileFormat::Mp3] {
        let file = encode_file(format, &audio).unwrap();
        let read = decode(&file[..file.len() * 9 / 10]);
        assert!(read.duration() > Duration::from_secs(7), "{}: {:?}", format.name(), read.duration());
    }
}

#[test]
fn the_more_of_a_stream_there_is_the_more_is_read() {
    let rate = SampleRate::HZ_16000;
    for format in FileFormat::ALL.into_iter().filter(|format| *format != FileFormat::Pcm) {
        let mut file = Vec::new();
        let mut encoder = FileEncoder::start(format, rate, None, &mut file).unwrap();
        encoder.push(&speech(32_000), &mut file).unwrap();
        encoder.finish(&mut file).unwrap();
        let mut longest = Duration::ZERO;
        for end in (0..file.len()).step_by(file.len() / 50) {
            let read = decode_file(&file[..end], MINUTE).map_or(Duration::ZERO, |audio| audio.duration());
            assert!(read >= longest, "{} cut at {end} of {}: {read:?}", format.name(), file.len());
            longest = read;
        }
        assert!(longest > Duration::from_millis(1_700), "{}: {longest:?}", format.name());
    }
}

#[test]
fn compressed_formats_sound_like_their_source() {
    let reference = decode(&std::fs::read(antiphon_testkit::testdata("read_speech/spk1_snt1.wav")).unwrap());
    for (name, delay, file) in FIXTURES {
        let read = decode(file);
        assert_eq!(read.rate.hz(), if name.starts_with("opus") { 48_000 } else { 16_000 }, "{name}");
        let length = read.duration().as_secs_f64();
        assert!((1.5..1.601).contains(&length), "{name}: {length} s");
        let mut heard = Vec::new();
        let mut resampler = Resampler::new(read.rate, reference.rate);
        resampler.process(&read.samples, &mut heard);
        let alike = correlation(&heard[*delay..], &reference.samples);
        assert!(alike > 0.85, "{name}: {alike}");
    }
}

#[test]
fn the_end_of_an_mp3_is_read_whatever_its_first_frames_take() {
    let (_, _, small) = FIXTURES[0];
    let audio = AudioChunk::new(SampleRate::HZ_16000, speech(32_000));
    let large = encode_file(FileFormat::Mp3, &audio).unwrap();
    assert!(large.len() > 2 * small.len());
    let together = decode(&large).samples.len() + decode(small).samples.len();
    assert!(decode(&[&large, small].concat()).samples.len() >= together);
}

#[test]
fn opus_in_mp4_loses_nothing() {
    let (_, delay, file) = FIXTURES.iter().find(|(name, _, _)| *name == "opus.mp4").unwrap();
    assert_eq!(*delay, 0);
    assert!(decode(file).duration() >= Duration::from_millis(1_500));
}

#[test]
fn a_chained_ogg_is_read_to_its_end() {
    let audio = AudioChunk::new(SampleRate::HZ_48000, speech(48_000));
    let link = encode_file(FileFormat::Opus, &audio).unwrap();
    assert_eq!(decode(&[&link[..], &link].concat()).duration(), Duration::from_secs(2));
}

#[test]
fn a_file_of_any_rate_is_at_most_48_khz_after() {
    let data: Vec<u8> = speech(19_200).iter().flat_map(|s| s.to_le_bytes()).collect();
    let read = decode(&wav(&fmt(1, 1, 192_000, 16), &data, u32::MAX));
    assert_eq!((read.rate, read.samples.len()), (SampleRate::HZ_48000, 4_800));
}

#[test]
fn errors_say_what_is_wrong() {
    let message = |bytes: &[u8]| decode_file(bytes, MINUTE).unwrap_err().to_string();
    assert_eq!(decode_file(&[], MINUTE), Err(FileError::Empty));
    assert!(message(b"<html>not audio</html>").contains("send WAV, FLAC"), "{}", message(b"<html>"));
    let silent = message(&wav(&fmt(1, 1, 8_000, 16), &[], 0));
    assert!(silent.contains("wave") && silent.contains("no samples"), "{silent}");
    let odd = message(&wav(&fmt(0x1234, 1, 8_000, 16), &[0; 100], 100));
    assert!(odd.contains("wav"), "{odd}");
}

#[test]
fn what_is_too_long_is_refused_and_what_just_fits_is_not() {
    let second = AudioChunk::new(SampleRate::HZ_16000, speech(16_000));
    let file = encode_file(FileFormat::Flac, &second).unwrap();
    assert!(decode_file(&file, Duration::from_secs(1)).is_ok());
    let short = Duration::from_millis(999);
    assert_eq!(decode_file(&file, short), Err(FileError::TooLong(short)));
}

/// A small file of each kind there is an encoder for, and of each fixture.
fn seeds() -> Vec<Vec<u8>> {
    let audio = AudioChunk::new(SampleRate::HZ_16000, speech(3_000));
    let data = noise(400).iter().flat_map(|s| s.to_le_bytes()).collect::<Vec<u8>>();
    let mut seeds: Vec<Vec<u8>> = FileFormat::ALL
        .iter()
        .filter(|format| **format != FileFormat::Pcm)
        .map(|format| encode_file(*format, &audio).unwrap())
        .chain([0x02, 0x11, 0x03, 0x06].map(|tag| wav(&extensible(tag, 2, 44_100, 32), &data, u32::MAX)))
        .collect();
    seeds.extend(FIXTURES.iter().map(|(_, _, file)| file.to_vec()));
    seeds
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn arbitrary_bytes_give_audio_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = decode_file(&bytes, MINUTE);
    }

    #[test]
    fn damaged_files_give_audio_or_an_error(
        seed in any::<prop::sample::Index>(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..12),
        header_damage in prop::collection::vec((0usize..128, any::<u8>()), 0..6),
        cut in any::<prop::sample::Index>(),
        cuts in any::<bool>(),
    ) {
        let seeds = seeds();
        let mut file = seed.get(&seeds).clone();
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        for (at, byte) in header_damage {
            let at = at % file.len();
            file[at] = byte;
        }
        if cuts {
            file.truncate(cut.index(file.len()));
        }
        if let Ok(audio) = decode_file(&file, MINUTE) {
            prop_assert!(audio.duration() <= MINUTE);
        }
    }
}

#[test]
fn the_length_is_known_without_decoding() {
    for (name, _, bytes) in FIXTURES {
        let is_longer =
            |longest| is_longer(Cursor::new(*bytes), Duration::from_millis(longest)).expect("readable");
        assert!(is_longer(1_000) && !is_longer(2_000), "{name}");
    }
    let silence = vec![0; 60 * 16_000];
    for format in [FileFormat::Wav, FileFormat::Flac] {
        let file =
            encode_file(format, &AudioChunk::new(SampleRate::HZ_16000, silence.clone())).expect("encoded");
        let is_longer =
            |longest| is_longer(Cursor::new(&file), Duration::from_secs(longest)).expect("readable");
        assert!(is_longer(59) && !is_longer(61), "{format:?}");
    }
}
