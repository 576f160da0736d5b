#!/usr/bin/env python3
"""Generates support tickets with their topics, as a company might have them in a table, and the file that says what the table's columns are.

    python3 examples/tickets.py OUT [--train 1200] [--dev 400] [--noise 0.03] [--seed 1]

writes OUT/train.csv, OUT/dev.csv (ticket, topic) and OUT/task.textproto. The same arguments give the same bytes. A few rows carry the
wrong topic on purpose, as in real data. The words of several topics meet in one ticket: what counts is what is asked for.
"""
import argparse
import csv
import pathlib
import random

GREETINGS = ["Hello,", "Hi there,", "Good morning,", "Dear team,", "", "", ""]
CLOSINGS = ["Thanks.", "Please help.", "Kind regards.", "I am waiting for your answer.", "", "", ""]
THINGS = ["lamp", "desk", "coffee maker", "headset", "backpack", "bicycle light", "tent", "keyboard", "blender", "office chair"]
DAYS = ["Monday", "Tuesday", "last week", "two days ago", "the third of May", "yesterday", "more than a month ago"]
# What was done before, in any ticket; and what is asked for, by topic.
BEFORE = [
    "I ordered a {thing} on {day}.", "My {thing} came on {day}.", "I paid for a {thing} {day}.", "I opened an account with you {day}.",
    "A courier brought the {thing} on {day}.", "I have been a customer for years and bought a {thing}.", "The invoice for the {thing} is from {day}.",
]
ASKED = {
    "billing": ["The amount was taken from my card twice.", "The bill shows a price that is not the one on your page.", "When do I get my money back?",
                "I need an invoice with our company's name.", "My voucher was not subtracted.", "Why was I charged a fee?"],
    "delivery": ["It has not arrived yet.", "The parcel is said to be with a neighbour, but nobody has it.", "Can it be sent to another address?",
                 "The tracking page has not changed for days.", "Only one of two boxes came.", "When will it be shipped?"],
    "account": ["I cannot log in any more.", "The mail to reset my password does not come.", "Please change my address of contact.",
                "I want all of my data to be deleted.", "How do I add a colleague as a second user?", "My profile shows somebody else's name."],
    "product": ["It does not turn on.", "One of the screws is missing.", "Does it work with mains of 110 volts?", "The cover broke when I unpacked it.",
                "Is there a manual in French?", "It makes a loud noise after an hour."],
}


def ticket(draw):
    topic = draw.choice(list(ASKED))
    parts = [draw.choice(GREETINGS), draw.choice(BEFORE).format(thing=draw.choice(THINGS), day=draw.choice(DAYS)), draw.choice(ASKED[topic])]
    if draw.random() < 0.4:
        other = draw.choice([name for name in ASKED if name != topic])
        # What was asked for another time is not the topic.
        parts.insert(1, "My last question is answered: " + draw.choice(ASKED[other])[:-1].lower() + ", that is settled.")
    return " ".join(part for part in [*parts, draw.choice(CLOSINGS)] if part), topic


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--train", type=int, default=1200)
    parser.add_argument("--dev", type=int, default=400)
    parser.add_argument("--noise", type=float, default=0.03)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    draw = random.Random(arguments.seed)
    arguments.out.mkdir(parents=True, exist_ok=True)
    for name, rows in (("train.csv", arguments.train), ("dev.csv", arguments.dev)):
        with open(arguments.out / name, "w", newline="", encoding="utf-8") as file:
            table = csv.writer(file)
            table.writerow(["ticket", "topic"])
            for _ in range(rows):
                text, topic = ticket(draw)
                table.writerow([text, draw.choice(list(ASKED)) if draw.random() < arguments.noise else topic])
        print(f"{arguments.out / name}: {rows} rows")
    (arguments.out / "task.textproto").write_text(
        'custom {\n  name: "tickets"\n  train: "train.csv"\n  dev: "dev.csv"\n  first: "ticket"\n  label: "topic"\n}\n')
    print(f"{arguments.out / 'task.textproto'}: what their columns are")


if __name__ == "__main__":
    main()
