"""Compiled modules without their symbol tables.

The loader reads an ELF file by its program headers. Section headers, and the sections that no program header covers (names
of symbols, notes of compilers), are for linkers and debuggers: a quarter of cryptography's module. Cutting them off here
needs no tool of the target's architecture, whose output would differ from machine to machine.

Source: Tool Interface Standard (TIS) Executable and Linking Format Specification 1.2, "Program Loading".
"""

import struct
from typing import Final

MAGIC: Final = b"\x7fELF"
_IDENTITY: Final = struct.Struct("<4sBB")
_HEADER: Final = struct.Struct("<16sHHIQQQIHHHHHH")
"""e_ident, e_type, e_machine, e_version, e_entry, e_phoff, e_shoff, e_flags, e_ehsize, e_phentsize, e_phnum,
e_shentsize, e_shnum, e_shstrndx."""
_PROGRAM_HEADER: Final = struct.Struct("<IIQQQQQQ")
"""p_type, p_flags, p_offset, p_vaddr, p_paddr, p_filesz, p_memsz, p_align."""
_CLASS_64: Final = 2
_LITTLE_ENDIAN: Final = 1


def without_symbols(content: bytes) -> bytes:
    """The ELF file up to the end of what is loaded, naming no sections; any other file as it is."""
    if not content.startswith(MAGIC):
        return content
    _, bits, order = _IDENTITY.unpack_from(content)
    if (bits, order) != (_CLASS_64, _LITTLE_ENDIAN):
        return content
    header = list(_HEADER.unpack_from(content))
    start, size, count = header[5], header[9], header[10]
    end = start + size * count
    for number in range(count):
        _, _, offset, _, _, length, _, _ = _PROGRAM_HEADER.unpack_from(content, start + number * size)
        end = max(end, offset + length)
    header[6] = header[11] = header[12] = header[13] = 0
    return _HEADER.pack(*header) + content[_HEADER.size : end]
