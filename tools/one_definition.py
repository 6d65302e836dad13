"""Finds classes of the same full name that two files define.

Each program would silently keep one of them (the one-definition rule) and run its functions on objects of the
other. Names inside unnamed namespaces, in nested classes and in tests of different programs do not matter.
"""
import collections
import pathlib
import re
import sys

TEXTS = re.compile(r'//[^\n]*|/\*.*?\*/|R"(\w*)\(.*?\)\1"|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])\'', re.S)
SPACE = re.compile(r'namespace(\s+[\w:]+)?\s*$')
CLASS = re.compile(r'(?:^|\s)(?:class|struct|enum class)\s+(?:alignas\([^)]*\)\s*)?(\w+)(?:\s+final)?\s*(?::(?!:)[^;]*)?$')


def classes(source):
    """Full names of the classes at namespace level, unnamed namespaces left out."""
    source = TEXTS.sub(' ', source)
    scopes, start = [], 0
    for mark in re.finditer(r'[{};]', source):
        head, start = source[start:mark.start()].strip(), mark.end()
        if mark.group() == '}':
            del scopes[-1:]
        elif mark.group() == '{':
            space, found = SPACE.search(head), CLASS.search(head)
            if found and None not in scopes:
                yield '::'.join(scopes + [found.group(1)])
            # None: whatever stands inside is no one else's.
            scopes.append(space.group(1).strip() if space and space.group(1) else None)


def main():
    root = pathlib.Path(__file__).resolve().parent.parent
    files = collections.defaultdict(set)
    for room in ('formwork', 'cli'):
        for path in sorted((root / room).rglob('*')):
            if path.suffix in ('.h', '.cpp'):
                for name in classes(path.read_text()):
                    files[name].add(str(path.relative_to(root)))
    twice = {name: where for name, where in files.items() if len(where) > 1}
    for name, where in twice.items():
        print(f'{name} is defined in {", ".join(sorted(where))}')
    return 1 if twice else 0


if __name__ == '__main__':
    sys.exit(main())
