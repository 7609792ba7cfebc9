"""Write the JSON schema of space files, made from the models, beside the space files.

python tools/make_schema.py
"""

from raycolor.spaces.file import AT_TOP_LEVEL
from raycolor.spaces.schema import FILE, as_text, space_schema

if __name__ == "__main__":
    path = AT_TOP_LEVEL / FILE
    path.write_text(as_text(space_schema()), encoding="utf-8")
    print(f"{path}: written")
