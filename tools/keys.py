"""Print the README's table of the settings of a trial, made from the models.

python tools/keys.py

`python -m raycolor.search --keys` prints all keys of a space file for people.
"""

from raycolor.spaces.manual import table

if __name__ == "__main__":
    print(table())
