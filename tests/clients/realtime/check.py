"""Uses OpenAI Realtime through PyPI's openai as its users do, against engines of the tests.

ANTIPHON_URL is the server's address, ANTIPHON_KEY a key that it takes.
"""

import asyncio
import base64
import os

from openai import AsyncOpenAI, AuthenticationError

URL = os.environ["ANTIPHON_URL"]
KEY = os.environ["ANTIPHON_KEY"]
RATE = 24_000


def check(what, holds, seen=None):
    print("ok    " if holds else "FAILED", what, "" if holds else repr(seen))
    if not holds:
        raise SystemExit(1)


def tone(seconds):
    half = RATE // 400
    samples = (6_000 if n // half % 2 else -6_000 for n in range(int(RATE * seconds)))
    return b"".join(sample.to_bytes(2, "little", signed=True) for sample in samples)


def silence(seconds):
    return bytes(2 * int(RATE * seconds))


async def until(connection, kind):
    seen = []
    async with asyncio.timeout(20):
        async for event in connection:
            seen.append(event)
            if event.type == "error" and kind != "error":
                check(f"no error before {kind}", False, event)
            if event.type == kind:
                return event, seen


async def speak(connection, pcm):
    for at in range(0, len(pcm), 9_600):
        await connection.input_audio_buffer.append(audio=base64.b64encode(pcm[at : at + 9_600]).decode())


async def writes(client):
    async with client.realtime.connect(model="gpt-realtime") as connection:
        created, _ = await until(connection, "session.created")
        check("a session begins", created.session.model == "gpt-realtime", created)
        await connection.session.update(session={"type": "realtime", "output_modalities": ["text"]})
        await until(connection, "session.updated")
        content = [{"type": "input_text", "text": "say it back"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create()
        done, seen = await until(connection, "response.done")
        text = "".join(event.delta for event in seen if event.type == "response.output_text.delta")
        check("a written reply is streamed", text == "say it back", text)
        check("and told whole", done.response.output[0].content[0].text == text, done)
        await connection.response.cancel()
        error, _ = await until(connection, "error")
        check("an error is told", error.error.code == "response_cancel_not_active", error)


async def speaks(client):
    async with client.realtime.connect(model="gpt-realtime") as connection:
        transcription = {"model": "gpt-4o-mini-transcribe"}
        detection = {"type": "server_vad", "silence_duration_ms": 300}
        audio = {"input": {"transcription": transcription, "turn_detection": detection}}
        await connection.session.update(session={"type": "realtime", "audio": audio})
        await speak(connection, silence(0.5) + tone(2.1) + silence(1))
        done, seen = await until(connection, "response.done")
        kinds = [event.type for event in seen]
        check("speech is noticed", "input_audio_buffer.speech_started" in kinds, kinds)
        words = [e.transcript for e in seen if e.type.endswith("input_audio_transcription.completed")]
        check("it is understood", words == ["one word one word"], words)
        pcm = b"".join(base64.b64decode(e.delta) for e in seen if e.type == "response.output_audio.delta")
        check("it is answered in speech", len(pcm) > RATE, len(pcm))
        check("with a transcript", done.response.output[0].content[0].transcript == words[0], done)

        content = [{"type": "input_text", "text": "endless"}]
        await connection.conversation.item.create(item={"type": "message", "role": "user", "content": content})
        await connection.response.create()
        await until(connection, "response.output_audio.delta")
        await speak(connection, tone(0.5))
        done, _ = await until(connection, "response.done")
        check("an interruption cancels", done.response.status_details.reason == "turn_detected", done)
        item = done.response.output[0].id
        await connection.conversation.item.truncate(item_id=item, content_index=0, audio_end_ms=20)
        truncated, _ = await until(connection, "conversation.item.truncated")
        check("the item is truncated", truncated.audio_end_ms == 20, truncated)


async def commits(client):
    async with client.realtime.connect(model="gpt-realtime") as connection:
        tool = {"type": "function", "name": "weather", "parameters": {"type": "object"}}
        audio = {"input": {"turn_detection": None}}
        await connection.session.update(session={"type": "realtime", "audio": audio, "tools": [tool]})
        await speak(connection, tone(1.1))
        await connection.input_audio_buffer.commit()
        await connection.response.create()
        done, seen = await until(connection, "response.done")
        call = done.response.output[0]
        check("a tool is called", (call.name, call.arguments) == ("weather", '{"city":"Ulm"}'), call)
        output = {"type": "function_call_output", "call_id": call.call_id, "output": "it is sunny"}
        await connection.conversation.item.create(item=output)
        await connection.response.create(response={"tool_choice": "none"})
        done, _ = await until(connection, "response.done")
        said = done.response.output[0].content[0].transcript
        check("its output is read", said == "it is sunny", done)


async def transcribes(client):
    async with client.realtime.connect(extra_query={"intent": "transcription"}) as connection:
        await speak(connection, tone(3.1) + silence(1))
        done, seen = await until(connection, "conversation.item.input_audio_transcription.completed")
        deltas = "".join(e.delta for e in seen if e.type.endswith("input_audio_transcription.delta"))
        check("a transcription session transcribes", deltas == done.transcript == "one word one word one word", done)


async def holds_secrets(client):
    secret = await client.realtime.client_secrets.create(session={"type": "realtime", "instructions": "Be brief."})
    browser = AsyncOpenAI(base_url=f"{URL}/v1", api_key=secret.value)
    async with browser.realtime.connect(model="gpt-realtime") as connection:
        created, _ = await until(connection, "session.created")
        check("a client secret opens its session", created.session.instructions == "Be brief.", created)


async def main():
    client = AsyncOpenAI(base_url=f"{URL}/v1", api_key=KEY, max_retries=0)
    for part in (writes, speaks, commits, transcribes, holds_secrets):
        await part(client)


asyncio.run(main())
