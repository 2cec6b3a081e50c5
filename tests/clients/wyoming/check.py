"""Uses the server as the ears and the voice of Home Assistant: through wyoming-openai, a proxy between the Wyoming
protocol and OpenAI's API, by each of the ways in which it can ask.

ANTIPHON_URL   the server, such as http://127.0.0.1:7700
ANTIPHON_KEY   a key of it
"""

import asyncio
import os
import socket
import sys

from wyoming.asr import Transcribe, Transcript
from wyoming.audio import AudioChunk, AudioStart, AudioStop
from wyoming.client import AsyncTcpClient
from wyoming.error import Error
from wyoming.info import Describe, Info
from wyoming.tts import Synthesize, SynthesizeChunk, SynthesizeStart, SynthesizeStop, SynthesizeStopped, SynthesizeVoice

URL = os.environ["ANTIPHON_URL"] + "/v1"
KEY = os.environ.get("ANTIPHON_KEY", "none")
LINE = "To be or not to be, that is the question that everybody asks. He said so twice."


def check(what, holds, seen=None):
    print(("ok    " if holds else "FAILED"), what, "" if holds else repr(seen), flush=True)
    if not holds:
        sys.exit(1)


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


class Proxy:
    """The proxy in a process of its own; whoever connects to it gets a fresh session."""

    async def __aenter__(self):
        self.port = free_port()
        self.process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "wyoming_openai", "--uri", f"tcp://127.0.0.1:{self.port}", "--log-level", "ERROR",
            "--stt-openai-key", KEY, "--stt-openai-url", URL, "--tts-openai-key", KEY, "--tts-openai-url", URL,
            "--stt-models", "whole", "--stt-streaming-models", "streamed", "--stt-realtime-models", "live",
            "--tts-models", "tts-1", "--tts-realtime-models", "gpt-realtime", "--tts-voices", "alloy",
        )  # fmt: skip
        while self.process.returncode is None:
            try:
                async with self.client():
                    return self
            except OSError:
                await asyncio.sleep(0.1)
        check("wyoming-openai: starts", False, self.process.returncode)

    async def __aexit__(self, *_):
        self.process.kill()
        await self.process.wait()

    def client(self):
        return AsyncTcpClient("127.0.0.1", self.port, read_timeout=30)


async def until(client, last):
    """All events up to the first of the type `last`; an error ends them, too."""
    events = []
    while event := await client.read_event():
        events.append(event)
        if last.is_type(event.type) or Error.is_type(event.type):
            break
    return events


def audio(events):
    return b"".join(AudioChunk.from_event(event).audio for event in events if AudioChunk.is_type(event.type))


def seconds(events):
    starts = [AudioStart.from_event(event) for event in events if AudioStart.is_type(event.type)]
    return len(audio(events)) / 2 / starts[0].rate if starts else 0


async def said(proxy, voice):
    async with proxy.client() as client:
        await client.write_event(Synthesize(text=LINE, voice=SynthesizeVoice(name=voice)).event())
        return await until(client, AudioStop)


async def said_in_pieces(proxy):
    async with proxy.client() as client:
        await client.write_event(SynthesizeStart().event())
        for word in LINE.split():
            await client.write_event(SynthesizeChunk(text=f"{word} ").event())
        await client.write_event(SynthesizeStop().event())
        return await until(client, SynthesizeStopped)


async def heard(proxy, model, speech, rate):
    """What the proxy makes of the speech when it is sent in chunks of 32 ms, as a satellite sends it."""
    piece = rate * 32 // 1000 * 2
    async with proxy.client() as client:
        await client.write_event(Transcribe(name=model, language="en").event())
        await client.write_event(AudioStart(rate=rate, width=2, channels=1).event())
        for at in range(0, len(speech), piece):
            chunk = AudioChunk(rate=rate, width=2, channels=1, audio=speech[at : at + piece])
            await client.write_event(chunk.event())
        await client.write_event(AudioStop().event())
        events = await until(client, Transcript)
    texts = [Transcript.from_event(event).text for event in events if Transcript.is_type(event.type)]
    return texts[0] if texts else events


async def main():
    async with Proxy() as proxy:
        async with proxy.client() as client:
            await client.write_event(Describe().event())
            info = Info.from_event((await until(client, Info))[-1])
        voices = [voice.name for program in info.tts for voice in program.voices]
        models = [model.name for program in info.asr for model in program.models]
        check("wyoming-openai: describes its models and voices", len(voices) == 2 and len(models) == 3, info)

        spoken = await said(proxy, "alloy")
        check("wyoming-openai: speech", seconds(spoken) > 0.3, spoken)
        pieces = await said_in_pieces(proxy)
        check("wyoming-openai: speech of text that comes word by word", seconds(pieces) > 0.3, pieces)
        for voice in voices:
            spoken_too = await said(proxy, voice)
            check(f"wyoming-openai: the voice {voice}", seconds(spoken_too) > 0.3, spoken_too)
        rate = AudioStart.from_event(spoken[0]).rate
        for model in models:
            text = await heard(proxy, model, audio(spoken), rate)
            check(f"wyoming-openai: recognition by {model}", isinstance(text, str) and len(text) > 0, text)
        text = await heard(proxy, "whole", b"\0" * (rate * 2), rate)
        check("wyoming-openai: silence has no words", text == "", text)


asyncio.run(main())
