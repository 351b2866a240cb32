"""Prompts for the demo: ten templates for each of six tasks, filled from word lists."""

from __future__ import annotations

import re

import numpy as np

MAX_PROMPTS = 20_000

_SLOT = re.compile(r"\{(\w+)\}")

_WORDS: dict[str, tuple[str, ...]] = {
    "n": tuple(str(number) for number in range(12, 988)),
    "m": tuple(str(number) for number in range(2, 98)),
    "name": ("Ada", "Bola", "Chen", "Dina", "Emil", "Fatou", "Goran", "Hana", "Ivo", "Juana"),
    "language": ("French", "German", "Spanish", "Italian", "Japanese", "Polish"),
    "coding": ("Python", "JavaScript", "TypeScript", "Rust", "Java", "Bash"),
    "structure": ("list", "dictionary", "queue", "binary tree", "linked list", "set", "heap"),
    "table": ("books", "flights", "employees", "songs", "tickets", "sensors", "patients"),
    "item": ("kettle", "laptop", "pair of boots", "desk lamp", "tent", "camera", "bicycle"),
    "place": ("Lisbon", "Nairobi", "Oslo", "Quito", "Hanoi", "Tbilisi", "Perth", "Montreal"),
    "topic": ("bees", "the tides", "jazz", "coral reefs", "volcanoes", "chess", "tea", "glaciers"),
    "mood": ("calm", "funny", "curious", "encouraging", "dry", "warm", "short", "poetic"),
    "when": ("this morning", "last week", "two days ago", "on Monday", "in spring", "yesterday"),
    "text": ("report", "interview", "meeting", "lecture", "article", "speech", "essay", "memo"),
}

_TEMPLATES: dict[str, tuple[str, ...]] = {
    "code": (
        "Write a {coding} function that removes every item below {n} from a {structure}.",
        "Why does my {coding} loop over a {structure} stop after {n} steps?",
        "Write a SQL query for the {n} newest rows of the table {table}.",
        "Refactor this {coding} class: it keeps {n} fields in one {structure}.",
        "Write a unit test for a {structure} of {n} elements in {coding}.",
        "Give me a regex that finds the number {n} in a list of {table}.",
        "Explain this {coding} stack trace: index {n} out of range in a {structure}.",
        "How do I read {n} files at once in {coding} without using up memory?",
        "Write {coding} code that merges two {structure}s of {table} by id {n}.",
        "Review a {coding} function that caches {n} {table} in a {structure}.",
    ),
    "maths": (
        "Solve {n}x + {m} = 0 for x.",
        "What is {n} * {m}? Show the steps.",
        "What is the probability of {m} heads in {n} tosses of a fair coin?",
        "Calculate {m} percent of {n}.",
        "Find the derivative of x^{m} + {n}x.",
        "A train covers {n} km in {m} hours. What is its average speed?",
        "Is {n} divisible by {m}? Explain.",
        "Compute the integral of {n}x^{m} from 0 to 1.",
        "{name} shares {n} marbles among {m} friends. How many are left over?",
        "How much is {n} dollars after {m} years at 3 percent interest?",
    ),
    "translation": (
        "Translate into {language}: the museum in {place} opens at {m}.",
        "How do you say '{name} lost {m} keys' in {language}?",
        "Translate this sentence to {language}: {name} bought a {item} for {n} euros.",
        "Give a {language} translation of 'I arrived in {place} {when}'.",
        "What is '{topic} at night' in {language}? Platform {n} is its name.",
        "Translate the label '{n} grams of {topic}' into {language}.",
        "Please translate for a friend from {place}, in {language}: see you at {m}.",
        "Check my translation: '{name} waited {m} minutes' in {language}.",
        "Say politely in {language} that room {n} in {place} is too cold.",
        "Translate the headline '{n} visitors came to {place} {when}' into {language}.",
    ),
    "summary": (
        "Summarize a {text} about {topic} in {m} words.",
        "Give me the key points of the {text} on {topic} from {place}, page {n}.",
        "TL;DR of a {n}-page {text} about {topic}, please.",
        "Condense {name}'s {text} on {topic} to {m} lines.",
        "Write a summary of the {text} that {name} gave in {place} {when}.",
        "Summarise chapter {m} of a {text} about {topic}.",
        "Put {name}'s {n}-word {text} about {topic} in one sentence.",
        "Give a {mood} summary of the {text} about {topic}, at most {m} words.",
        "What are the key points of {name}'s {text} {when}, minute {m}?",
        "Summarize for a child what the {text} from {place} says of {topic} on page {m}.",
    ),
    "support": (
        "I want a refund for the {item} I bought {when}, receipt {n}.",
        "My order {n} has not arrived in {place} yet.",
        "I forgot the password of my account, user {name}{n}.",
        "You charged me twice for a {item} {when}, {n} euros each time.",
        "Can I cancel my subscription {n} before it renews in {place}?",
        "The {item} from order {n} came broken {when}. What now?",
        "Please send invoice {n} to {name} in {place} again.",
        "Is my {item} with number {n} still under warranty?",
        "Where is my parcel {n}? The delivery to {place} was due {when}.",
        "A customer named {name} asks for a return label for a {item}, case {n}.",
    ),
    "chat": (
        "Tell me a {mood} story about {name} and {n} lanterns in {place}.",
        "What would you show a visitor to {place} with {m} hours to spare?",
        "Suggest a {mood} present for {name}, who loves {topic} and turned {m}.",
        "Write a {mood} birthday wish for {name}, who turns {m}.",
        "Why do people like {topic} so much? Give me {m} thoughts.",
        "Imagine {place} in {n} years and describe it in a {mood} way.",
        "Let us talk about {topic}: what surprised you {when}, {name} asked me {m} times.",
        "Name {m} things to do in {place} when it rains.",
        "Write a {mood} poem about {topic} with {m} lines for {name}.",
        "What should {name} cook for {m} guests from {place}?",
    ),
}


def demo_prompts(count: int, seed: int) -> list[tuple[str, str]]:
    """``count`` different (task, prompt) pairs, tasks mixed evenly; same seed, same prompts.

    A longer list begins with the shorter one. Raises ValueError above ``MAX_PROMPTS``.
    """
    if not 0 <= count <= MAX_PROMPTS:
        raise ValueError(f"count must be between 0 and {MAX_PROMPTS}")
    rng = np.random.default_rng(seed)
    tasks = tuple(_TEMPLATES)
    prompts: dict[str, str] = {}  # prompt → task, in order
    while len(prompts) < count:
        task = _pick(rng, tasks)
        prompts.setdefault(_filled(rng, _pick(rng, _TEMPLATES[task])), task)
    return [(task, prompt) for prompt, task in prompts.items()]


def _filled(rng: np.random.Generator, template: str) -> str:
    return _SLOT.sub(lambda slot: _pick(rng, _WORDS[slot[1]]), template)


def _pick(rng: np.random.Generator, choices: tuple[str, ...]) -> str:
    return choices[int(rng.integers(len(choices)))]
