"""Uses the server through the frameworks that build agents on OpenAI's API, each at its defaults.

ANTIPHON_URL   the server, such as http://127.0.0.1:7700; its language model repeats what it is told, or calls the first tool
ANTIPHON_KEY   a key of it
"""

import asyncio
import json
import os
import sys

URL = os.environ["ANTIPHON_URL"] + "/v1"
KEY = os.environ.get("ANTIPHON_KEY", "none")
os.environ |= {"OPENAI_API_KEY": KEY, "OPENAI_BASE_URL": URL, "OPENAI_AGENTS_DISABLE_TRACING": "1"}
# LiteLLM would otherwise ask the network for its table of prices.
os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

import instructor  # noqa: E402
import litellm  # noqa: E402
from agents import Agent, Runner, function_tool  # noqa: E402
from langchain_core.tools import tool  # noqa: E402
from langchain_openai import ChatOpenAI  # noqa: E402
from openai import OpenAI  # noqa: E402
from pydantic import BaseModel  # noqa: E402


class Place(BaseModel):
    city: str


PLACE = json.dumps({"city": "Ulm"})


def check(what, holds, seen=None):
    print(("ok    " if holds else "FAILED"), what, "" if holds else repr(seen), flush=True)
    if not holds:
        sys.exit(1)


@function_tool
def weather(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


async def agents():
    agent = Agent(name="weatherman", instructions="Be brief.", tools=[weather])
    result = await Runner.run(agent, "weather?")
    check("agents: a tool is called and its result answered", result.final_output == "rain in Ulm", result)
    streamed = Runner.run_streamed(agent, "weather?")
    kinds = [event.type async for event in streamed.stream_events()]
    check("agents: streamed", streamed.final_output == "rain in Ulm" and "raw_response_event" in kinds, kinds)
    typed = await Runner.run(Agent(name="typist", output_type=Place), PLACE)
    check("agents: output_type", typed.final_output == Place(city="Ulm"), typed)
    second = await Runner.run(Agent(name="talker"), result.to_input_list() + [{"role": "user", "content": "thanks"}])
    check("agents: the conversation goes on", second.final_output == "thanks", second)


@tool
def forecast(city: str) -> str:
    """The weather in a city."""
    return f"rain in {city}"


def langchain():
    model = ChatOpenAI(model="gpt-4o")
    said = model.invoke("to be or not")
    check("langchain: invoke", said.content == "to be or not" and said.usage_metadata["total_tokens"] > 0, said)
    pieces = [piece.content for piece in model.stream("to be or not")]
    check("langchain: stream", "".join(pieces) == "to be or not" and len(pieces) > 2, pieces)
    called = model.bind_tools([forecast]).invoke("weather?")
    check("langchain: tools", called.tool_calls[0]["args"] == {"city": "Ulm"}, called)
    typed = model.with_structured_output(Place).invoke(PLACE)
    check("langchain: structured output", typed == Place(city="Ulm"), typed)
    newer = ChatOpenAI(model="gpt-4o", use_responses_api=True).invoke("to be or not")
    check("langchain: responses", newer.text == "to be or not", newer)


def lite():
    said = litellm.completion(model="openai/gpt-4o", messages=[{"role": "user", "content": "to be or not"}])
    check("litellm: completion", said.choices[0].message.content == "to be or not", said)
    pieces = litellm.completion(
        model="openai/gpt-4o", messages=[{"role": "user", "content": "to be or not"}], stream=True,
    )
    text = "".join(piece.choices[0].delta.content or "" for piece in pieces)
    check("litellm: stream", text == "to be or not", text)
    vectors = litellm.embedding(model="openai/text-embedding-3-small", input=["a", "b"])
    check("litellm: embedding", len(vectors.data) == 2, vectors)
    newer = litellm.responses(model="openai/gpt-4o", input="to be or not")
    check("litellm: responses", newer.output[0].content[0].text == "to be or not", newer)


def structured():
    client = instructor.from_openai(OpenAI(max_retries=0))
    said = client.chat.completions.create(
        model="gpt-4o", response_model=Place, messages=[{"role": "user", "content": "Where?"}],
    )
    check("instructor: response_model", said.city == "Ulm", said)
    parsed = OpenAI(max_retries=0).responses.parse(model="gpt-4o", input=PLACE, text_format=Place)
    check("openai: responses.parse", parsed.output_parsed == Place(city="Ulm"), parsed)


asyncio.run(agents())
langchain()
lite()
structured()
