"""Uses OpenAI's REST API through PyPI's openai as its users do.

ANTIPHON_URL      the server, such as http://127.0.0.1:7700
ANTIPHON_KEY      a key of it
ANTIPHON_SPEECH   a recording (optional; without it, noise)
ANTIPHON_ENGINES  "test" when the server has the engines of the tests, which fail on demand
"""

import io
import os
import random
import struct
import sys
import tempfile
import wave

import openai
from openai import OpenAI

URL = os.environ["ANTIPHON_URL"] + "/v1"
KEY = os.environ.get("ANTIPHON_KEY", "none")
client = OpenAI(base_url=URL, api_key=KEY, max_retries=0, timeout=60)
on_demand = os.environ.get("ANTIPHON_ENGINES") == "test"

# How a file begins: a frame of MPEG-2 (voices of up to 24 kHz) or of MPEG-1, without a tag before it.
MP3 = (b"\xff\xf3", b"\xff\xfb")

WEATHER = {
    "type": "function",
    "function": {
        "name": "weather",
        "description": "The weather in a city",
        "parameters": {"type": "object", "properties": {"city": {"type": "string"}}},
    },
}


def check(what, holds, seen=None):
    print(("ok    " if holds else "FAILED"), what, "" if holds else repr(seen), flush=True)
    if not holds:
        sys.exit(1)


def raises(what, error, call):
    try:
        seen = call()
    except error as caught:
        check(what, bool(caught.message), caught)
        return caught
    except Exception as caught:  # what else came is what the report needs
        seen = caught
    check(what, False, seen)


def recording():
    path = os.environ.get("ANTIPHON_SPEECH")
    if path:
        with open(path, "rb") as file:
            return os.path.basename(path), file.read()
    noise = random.Random(1)
    samples = [noise.randint(-8000, 8000) for _ in range(3 * 16000)]
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setnchannels(1)
        wav.setsampwidth(2)
        wav.setframerate(16000)
        wav.writeframes(struct.pack(f"<{len(samples)}h", *samples))
    return "noise.wav", file.getvalue()


def transcriptions():
    create = client.audio.transcriptions.create
    file = recording()
    plain = create(model="whisper-1", file=file)
    check("transcription: json", len(plain.text) > 0, plain)
    verbose = create(
        model="whisper-1", file=file, response_format="verbose_json", language="en",
        prompt="Antiphon", temperature=0, timestamp_granularities=["word", "segment"],
    )
    check("transcription: verbose_json", verbose.text == plain.text and verbose.duration > 0, verbose)
    check("transcription: segments", verbose.segments[0].end > verbose.segments[0].start, verbose.segments)
    check("transcription: words", " ".join(w.word for w in verbose.words) == plain.text, verbose.words)
    text = create(model="whisper-1", file=file, response_format="text")
    check("transcription: text", text.strip() == plain.text, text)
    srt = create(model="whisper-1", file=file, response_format="srt")
    check("transcription: srt", srt.startswith("1\n00:00:"), srt)
    vtt = create(model="whisper-1", file=file, response_format="vtt")
    check("transcription: vtt", vtt.startswith("WEBVTT\n"), vtt)
    events = list(create(model="gpt-4o-mini-transcribe", file=file, stream=True))
    deltas = "".join(event.delta for event in events if event.type == "transcript.text.delta")
    check("transcription: stream ends with the text", events[-1].type == "transcript.text.done", events)
    check("transcription: deltas add up", bool(deltas) and events[-1].text.startswith(deltas[:4]), events)
    raises("transcription: no audio", openai.BadRequestError, lambda: create(model="m", file=("a.wav", b"no")))
    raises(
        "translation is refused", openai.BadRequestError,
        lambda: client.audio.translations.create(model="whisper-1", file=file),
    )


def speech():
    text = "Hello there. This is a test of speech."
    create = client.audio.speech.with_streaming_response.create
    magic = {"mp3": MP3, "opus": b"OggS", "flac": b"fLaC", "wav": b"RIFF", "pcm": b""}
    with tempfile.TemporaryDirectory() as folder:
        for form, begin in magic.items():
            path = os.path.join(folder, "speech." + form)
            with create(model="tts-1", voice="alloy", input=text, response_format=form) as response:
                response.stream_to_file(path)
            with open(path, "rb") as file:
                data = file.read()
            check(f"speech: {form}", data.startswith(begin) and len(data) > 1000, data[:16])
    whole = client.audio.speech.create(model="tts-1", voice="nova", input=text, speed=1.25)
    check("speech: MP3 unless told otherwise", whole.content.startswith(MP3), whole.content[:16])
    with create(model="tts-1", voice="alloy", input=text, response_format="pcm", stream_format="sse") as response:
        lines = [line for line in response.iter_lines() if line.startswith("data: ")]
    check("speech: events", "speech.audio.delta" in lines[0] and "speech.audio.done" in lines[-1], lines[-1])
    speak = client.audio.speech.create
    raises(
        "speech: AAC is refused", openai.BadRequestError,
        lambda: speak(model="tts-1", voice="alloy", input=text, response_format="aac"),
    )
    raises("speech: too long", openai.BadRequestError, lambda: speak(model="m", voice="v", input="a" * 5000))


def chat():
    create = client.chat.completions.create
    system = {"role": "developer", "content": [{"type": "text", "text": "Be brief."}]}
    messages = [system, {"role": "user", "content": "Say hello."}]
    reply = create(model="gpt-4o", messages=messages, max_completion_tokens=30, temperature=0, seed=1)
    check("chat: a reply", reply.choices[0].message.content is not None, reply)
    check("chat: usage", reply.usage.total_tokens >= reply.usage.completion_tokens > 0, reply.usage)
    stream = create(
        model="gpt-4o", messages=messages, max_tokens=30, temperature=0, seed=1, stream=True,
        stream_options={"include_usage": True},
    )
    chunks = list(stream)
    text = "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    check("chat: the stream says the same", text == reply.choices[0].message.content, text)
    check("chat: usage comes last", chunks[-1].usage.total_tokens > 0 and not chunks[-1].choices, chunks[-1])
    with client.chat.completions.stream(model="gpt-4o", messages=messages, max_tokens=30) as helper:
        check("chat: the stream helper", helper.get_final_completion().choices[0].finish_reason is not None)
    raises("chat: n=2", openai.BadRequestError, lambda: create(model="m", messages=messages, n=2))
    raises("chat: no messages", openai.BadRequestError, lambda: create(model="m", messages=[]))
    if on_demand:
        tools_and_failures(create)


def tools_and_failures(create):
    ask = [{"role": "user", "content": "weather?"}]
    reply = create(model="gpt-4o", messages=ask, tools=[WEATHER], tool_choice="required")
    call = reply.choices[0].message.tool_calls[0]
    check("chat: a tool is called", call.function.name == "weather" and "Ulm" in call.function.arguments, reply)
    again = ask + [reply.choices[0].message, {"role": "tool", "tool_call_id": call.id, "content": "rain"}]
    reply = create(model="gpt-4o", messages=again)
    check("chat: the tool's answer is taken", reply.choices[0].message.content == "rain", reply)
    with client.chat.completions.stream(model="gpt-4o", messages=ask, tools=[WEATHER]) as helper:
        final = helper.get_final_completion().choices[0]
    check("chat: a tool call is streamed", final.message.tool_calls[0].function.arguments == call.function.arguments, final)

    def fail(kind, **options):
        return lambda: create(model="m", messages=[{"role": "user", "content": "fail " + kind}], **options)

    limited = raises("error: 429", openai.RateLimitError, fail("rate"))
    check("error: retry-after", limited.response.headers["retry-after"] == "7", limited.response.headers)
    raises("error: 503", openai.InternalServerError, fail("unavailable"))
    raises("error: 429 before a stream", openai.RateLimitError, fail("rate", stream=True))
    raises("error: within a stream", openai.APIError, lambda: list(fail("late", stream=True)()))


def embeddings():
    create = client.embeddings.create
    two = create(model="text-embedding-3-small", input=["red apples", "green pears"])
    check("embeddings: base64, the SDK's own way", len(two.data) == 2 and len(two.data[0].embedding) > 1, two)
    plain = create(model="m", input="red apples", encoding_format="float").data[0].embedding
    close = max(abs(a - b) for a, b in zip(plain, two.data[0].embedding)) < 1e-5
    check("embeddings: float", close, plain)
    short = create(model="m", input="red apples", dimensions=4).data[0].embedding
    check("embeddings: dimensions", len(short) == 4 and abs(sum(x * x for x in short) - 1) < 1e-3, short)
    raises("embeddings: tokens", openai.BadRequestError, lambda: create(model="m", input=[1, 2, 3]))


def models():
    names = [model.id for model in client.models.list()]
    check("models: list", len(names) >= 2, names)
    check("models: retrieve", client.models.retrieve(names[0]).id == names[0])
    raises("models: unknown", openai.NotFoundError, lambda: client.models.retrieve("no-such-model"))
    if KEY != "none":
        stranger = OpenAI(base_url=URL, api_key="wrong", max_retries=0)
        raises("a wrong key", openai.AuthenticationError, lambda: stranger.models.list())


for part in (models, embeddings, chat, speech, transcriptions):
    part()
print("all is well")
