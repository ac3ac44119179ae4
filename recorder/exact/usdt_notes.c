/* SPDX-License-Identifier: BSD-3-Clause */
#include "recorder/exact/usdt_notes.h"

#include <elf.h>
#include <errno.h>
#include <string.h>

#define NOTE_NAME "stapsdt"
#define NOTE_TYPE 3
/* python3.11 has 9 KB of them. */
#define NOTES_MAX_BYTES ((size_t)1 << 20)

static uint64_t padded(uint32_t size)
{
	return ((uint64_t)size + 3) & ~UINT64_C(3);
}

/* The string at *at, which moves behind it. NULL when it does not end. */
static const char *take_string(const char **at, const char *end)
{
	const char *start = *at, *nul = memchr(start, '\0', (size_t)(end - start));

	if (!nul)
		return NULL;
	*at = nul + 1;
	return start;
}

/*
 * One note: pc, address of .stapsdt.base when it was written, semaphore; provider, name and
 * arguments, each with its NUL. Returns whether it is a probe of that provider.
 */
static bool parse_note(const char *desc, size_t len, const char *provider, uint64_t base,
		       struct usdt_probe *ret)
{
	const char *at = desc + 3 * sizeof(uint64_t), *end = desc + len;
	const char *of, *name, *args;
	uint64_t words[3];

	if (len < sizeof(words))
		return false;
	memcpy(words, desc, sizeof(words));
	of = take_string(&at, end);
	name = of ? take_string(&at, end) : NULL;
	args = name ? take_string(&at, end) : NULL;
	if (!args || strcmp(of, provider) != 0 || strlen(name) >= sizeof(ret->name) ||
	    strlen(args) >= sizeof(ret->text))
		return false;
	*ret = (struct usdt_probe){.pc = words[0], .semaphore = words[2]};
	if (base && words[1]) {
		ret->pc += base - words[1];
		if (ret->semaphore)
			ret->semaphore += base - words[1];
	}
	memcpy(ret->name, name, strlen(name) + 1);
	memcpy(ret->text, args, strlen(args) + 1);
	ret->n_args = usdt_args_parse(USDT_MACHINE, ret->text, ret->args);
	return true;
}

int usdt_notes_parse(const void *notes, size_t len, const char *provider, uint64_t notes_base,
		     struct usdt_probe *ret, size_t max)
{
	const char *at = notes;
	int n = 0;

	while (len >= sizeof(Elf64_Nhdr)) {
		struct usdt_probe probe;
		uint64_t name_len, desc_len;
		Elf64_Nhdr note;

		memcpy(&note, at, sizeof(note));
		at += sizeof(note);
		len -= sizeof(note);
		name_len = padded(note.n_namesz);
		desc_len = padded(note.n_descsz);
		if (name_len > len || note.n_descsz > len - name_len)
			return -EBADMSG;
		if (note.n_type == NOTE_TYPE && note.n_namesz == sizeof(NOTE_NAME) &&
		    memcmp(at, NOTE_NAME, sizeof(NOTE_NAME)) == 0 &&
		    parse_note(at + name_len, note.n_descsz, provider, notes_base, &probe)) {
			if ((size_t)n < max)
				ret[n] = probe;
			n++;
		}
		/* The last one need not be padded. */
		if (name_len + desc_len > len)
			break;
		at += name_len + desc_len;
		len -= name_len + desc_len;
	}
	return n;
}

static bool find_offsets(struct elf_image *image, struct usdt_probe *p)
{
	if (elf_image_file_offset(image, p->pc, true, &p->pc_offset) < 0)
		return false;
	return !p->semaphore ||
	       elf_image_file_offset(image, p->semaphore, false, &p->semaphore_offset) == 0;
}

int usdt_notes_read(struct elf_image *image, const char *provider, struct usdt_probe *ret,
		    size_t max)
{
	uint64_t base = 0, size;
	const void *notes;
	size_t len;
	int n, kept = 0;
	int r;

	r = elf_image_read_section(image, ".note." NOTE_NAME, NOTES_MAX_BYTES, &notes, &len);
	if (r < 0)
		return r;
	r = elf_image_find_section(image, ".stapsdt.base", &base, &size);
	if (r < 0 && r != -ENOENT)
		return r;
	n = usdt_notes_parse(notes, len, provider, base, ret, max);
	for (int i = 0; i < n && (size_t)i < max; i++) {
		struct usdt_probe probe = ret[i];

		if (find_offsets(image, &probe))
			ret[kept++] = probe;
	}
	return n < 0 ? n : kept;
}
