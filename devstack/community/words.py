"""The words of an invented community: sentences put together from pieces.

Belongs here: words. Not: who says them when (weeks).
"""

import random

OPENINGS = (
    "gente,",
    "pessoal,",
    "bom dia!",
    "boa noite!",
    "alguém sabe",
    "dúvida rápida:",
    "olha isso:",
    "só eu que",
    "",
)
TOPICS = (
    "o deploy de hoje", "aquela vaga de dados", "o meetup de quinta", "o bug do login", "esse tal de Rust",
    "o curso de SQL", "a prova de segunda", "o novo emulador", "o freela do mês", "teste de integração",
    "a live de ontem", "o café da firma", "meu PR parado", "o salário em dólar", "a migração do banco",
    "o teclado novo",
)  # fmt: skip
TAILS = (
    "tá funcionando?", "deu ruim de novo 😅", "vale a pena?", "alguém vai?", "me salvou", "quebrou tudo aqui",
    "recomendo demais", "não entendi nada", "ficou muito bom 👏", "que horas começa?", "é sério isso?",
    "me chamem depois",
)  # fmt: skip
ANSWERS = (
    "kkkkkk", "sim!", "aqui também", "boa!", "acho que não", "manda o link", "depende", "já passei por isso",
    "valeu demais 🙏", "testa reiniciar", "concordo", "nunca vi", "olha a documentação", "pode crer",
    "amanhã eu vejo", "top", "é isso aí", "faz sentido", "tô dentro", "me explica melhor?",
)  # fmt: skip
EMOJIS = ("👍", "❤️", "😂", "🔥", "👏", "🙏", "😮", "🚀")
POLLS = (
    ("Qual stack?", ["Python 🐍", "TypeScript", "Go", "Outra"]),
    ("Meetup quando?", ["quinta", "sábado", "domingo"]),
    ("Café ou mate?", ["café ☕", "mate 🧉", "os dois"]),
    ("Híbrido ou remoto?", ["híbrido", "remoto", "presencial"]),
)
LINKS = (
    ("https://exemplo.test/vagas", "Vagas da semana"),
    ("https://exemplo.test/curso-sql", "SQL do zero"),
    ("https://exemplo.test/palestra", "Palestra gravada"),
)
NAMES = ("✨", "2026", "🚀", "(oficial)", "🇧🇷")
GOES_ON = 0.3  # of the answers
FILES = ("curriculo.pdf", "slides-meetup.pdf", "planilha.xlsx", "edital.pdf")


def opening(chance: random.Random) -> str:
    """Return what somebody begins a conversation with."""
    return " ".join(filter(None, (chance.choice(OPENINGS), chance.choice(TOPICS), chance.choice(TAILS))))


def answer(chance: random.Random) -> str:
    """Return what somebody answers: one piece, or several."""
    said = chance.sample(ANSWERS, chance.choice((1, 1, 1, 2, 3)))
    return ", ".join(said) + (f" {chance.choice(TOPICS)} {chance.choice(TAILS)}" if chance.random() < GOES_ON else "")
