"""Uses the server as the models of LiveKit's agents and of Pipecat, at their defaults.

ANTIPHON_URL   the server, such as http://127.0.0.1:7700; its language model repeats what it is told
ANTIPHON_KEY   a key of it
"""

import asyncio
import os
import sys

URL = os.environ["ANTIPHON_URL"] + "/v1"
KEY = os.environ.get("ANTIPHON_KEY", "none")
os.environ |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": URL}

import aiohttp  # noqa: E402
from livekit.agents import llm, utils  # noqa: E402
from livekit.plugins import openai  # noqa: E402
from loguru import logger  # noqa: E402
from pipecat.frames.frames import EndFrame, ErrorFrame, LLMContextFrame, TTSAudioRawFrame, TTSTextFrame  # noqa: E402
from pipecat.pipeline.pipeline import Pipeline  # noqa: E402
from pipecat.pipeline.runner import PipelineRunner  # noqa: E402
from pipecat.pipeline.task import PipelineTask  # noqa: E402
from pipecat.processors.aggregators.llm_context import LLMContext  # noqa: E402
from pipecat.processors.frame_processor import FrameProcessor  # noqa: E402
from pipecat.services.openai.llm import OpenAILLMService  # noqa: E402
from pipecat.services.openai.tts import OpenAITTSService  # noqa: E402

LINE = "To be or not to be, that is the question that everybody asks."


def check(what, holds, seen=None):
    print(("ok    " if holds else "FAILED"), what, "" if holds else repr(seen), flush=True)
    if not holds:
        sys.exit(1)


async def livekit():
    async with aiohttp.ClientSession():
        context = llm.ChatContext()
        context.add_message(role="user", content=LINE)
        said = ""
        async with openai.LLM().chat(chat_ctx=context) as pieces:
            async for piece in pieces:
                said += (piece.delta and piece.delta.content) or ""
        check("livekit: the language model", said == LINE, said)
        async with openai.TTS().synthesize(LINE) as pieces:
            frames = [piece.frame async for piece in pieces]
        speech = utils.merge_frames(frames)
        check("livekit: speech", speech.duration > 0.3, speech.duration)
        heard = await openai.STT().recognize([speech])
        check("livekit: recognition", len(heard.alternatives[0].text) > 0, heard)


class Seen(FrameProcessor):
    """Remembers all frames that pass."""

    def __init__(self):
        super().__init__()
        self.frames = []

    async def process_frame(self, frame, direction):
        await super().process_frame(frame, direction)
        self.frames.append(frame)
        await self.push_frame(frame, direction)

    def of(self, kind):
        return [frame for frame in self.frames if isinstance(frame, kind)]


async def pipecat():
    seen = Seen()
    services = [OpenAILLMService(api_key=KEY, base_url=URL), OpenAITTSService(api_key=KEY, base_url=URL)]
    task = PipelineTask(Pipeline([*services, seen]))
    await task.queue_frames([LLMContextFrame(LLMContext(messages=[{"role": "user", "content": LINE}])), EndFrame()])
    await asyncio.wait_for(PipelineRunner(handle_sigint=False).run(task), 60)
    said = "".join(frame.text for frame in seen.of(TTSTextFrame))
    check("pipecat: what the language model says", said == LINE and not seen.of(ErrorFrame), seen.of(ErrorFrame) or said)
    check("pipecat: is spoken", sum(len(frame.audio) for frame in seen.of(TTSAudioRawFrame)) > 10_000)


logger.remove()
asyncio.run(livekit())
asyncio.run(pipecat())
