/* SPDX-License-Identifier: BSD-3-Clause */
/* libelf lives behind this file alone. */
#include "recorder/target/elf_image.h"

#include <errno.h>
#include <gelf.h>
#include <libelf.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/xalloc.h"

/* A larger symbol or string table than this is not read (that of a debug build has a few MB). */
#define TABLE_MAX_BYTES (UINT64_C(128) << 20)

struct elf_image {
	Elf *elf;
};

/* Takes over elf, which may be NULL. */
static int open_elf(Elf *elf, struct elf_image **ret)
{
	struct elf_image *image;
	const char *ident;

	if (!elf)
		return -ENOEXEC;
	ident = elf_getident(elf, NULL);
	if (elf_kind(elf) != ELF_K_ELF || !ident) {
		elf_end(elf);
		return -ENOEXEC;
	}
	if (ident[EI_CLASS] != ELFCLASS64 || ident[EI_DATA] != ELFDATA2LSB) {
		elf_end(elf);
		return -EMEDIUMTYPE;
	}
	image = xcalloc(1, sizeof(*image));
	image->elf = elf;
	*ret = image;
	return 0;
}

int elf_image_open(int fd, struct elf_image **ret)
{
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOSYS;
	return open_elf(elf_begin(fd, ELF_C_READ, NULL), ret);
}

int elf_image_open_bytes(void *bytes, size_t len, struct elf_image **ret)
{
	if (elf_version(EV_CURRENT) == EV_NONE)
		return -ENOSYS;
	return open_elf(elf_memory(bytes, len), ret);
}

void elf_image_close(struct elf_image *image)
{
	if (!image)
		return;
	elf_end(image->elf);
	free(image);
}

/* The bytes of a section as they lie in the file; NULL when it has none or is beyond the limit. */
static Elf_Data *read_section(Elf_Scn *section, GElf_Shdr *ret_header)
{
	if (!section || !gelf_getshdr(section, ret_header))
		return NULL;
	if (ret_header->sh_size > TABLE_MAX_BYTES || ret_header->sh_flags & SHF_COMPRESSED)
		return NULL;
	return elf_getdata(section, NULL);
}

static bool name_is(const Elf_Data *strings, size_t offset, const char *name)
{
	size_t len = strlen(name) + 1;

	if (offset > strings->d_size || strings->d_size - offset < len)
		return false;
	return memcmp((const char *)strings->d_buf + offset, name, len) == 0;
}

static void match_symbol(const GElf_Sym *sym, const Elf_Data *strings, struct elf_symbol *symbols,
			 size_t n)
{
	if (sym->st_shndx == SHN_UNDEF || sym->st_value == 0)
		return;
	for (size_t i = 0; i < n; i++) {
		if (symbols[i].found || !name_is(strings, sym->st_name, symbols[i].name))
			continue;
		symbols[i].found = true;
		symbols[i].value = sym->st_value;
		symbols[i].size = sym->st_size;
	}
}

static int search_table(struct elf_image *image, Elf_Scn *section, struct elf_symbol *symbols,
			size_t n)
{
	GElf_Shdr header, strings_header;
	Elf_Data *strings;
	Elf_Data *data = read_section(section, &header);
	int n_symbols;

	if (!data || !data->d_buf)
		return -EBADMSG;
	strings = read_section(elf_getscn(image->elf, header.sh_link), &strings_header);
	if (!strings || !strings->d_buf)
		return -EBADMSG;
	n_symbols = (int)(data->d_size / sizeof(Elf64_Sym));
	for (int i = 0; i < n_symbols; i++) {
		GElf_Sym sym;

		if (!gelf_getsym(data, i, &sym))
			return -EBADMSG;
		match_symbol(&sym, strings, symbols, n);
	}
	return 0;
}

static Elf_Scn *find_section_of_type(struct elf_image *image, uint32_t type)
{
	Elf_Scn *section = NULL;
	GElf_Shdr header;

	while ((section = elf_nextscn(image->elf, section)))
		if (gelf_getshdr(section, &header) && header.sh_type == type)
			return section;
	return NULL;
}

static int count_found(const struct elf_symbol *symbols, size_t n)
{
	int found = 0;

	for (size_t i = 0; i < n; i++)
		found += symbols[i].found;
	return found;
}

int elf_image_find_symbols(struct elf_image *image, struct elf_symbol *symbols, size_t n)
{
	static const uint32_t types[] = {SHT_DYNSYM, SHT_SYMTAB};

	for (size_t i = 0; i < n; i++)
		symbols[i].found = false;
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		Elf_Scn *section = find_section_of_type(image, types[i]);
		int r;

		if (!section)
			continue;
		r = search_table(image, section, symbols, n);
		if (r < 0)
			return r;
		if (count_found(symbols, n) == (int)n)
			break;
	}
	return count_found(symbols, n);
}

static int find_section(struct elf_image *image, const char *name, Elf_Scn **ret)
{
	GElf_Shdr header, names_header;
	Elf_Scn *section = NULL;
	Elf_Data *names;
	size_t index;

	if (elf_getshdrstrndx(image->elf, &index) != 0)
		return -EBADMSG;
	names = read_section(elf_getscn(image->elf, index), &names_header);
	if (!names || !names->d_buf)
		return -ENOENT;
	while ((section = elf_nextscn(image->elf, section))) {
		if (!gelf_getshdr(section, &header))
			return -EBADMSG;
		if (!name_is(names, header.sh_name, name))
			continue;
		*ret = section;
		return 0;
	}
	return -ENOENT;
}

int elf_image_find_section(struct elf_image *image, const char *name, uint64_t *ret_addr,
			   uint64_t *ret_size)
{
	Elf_Scn *section;
	GElf_Shdr header;
	int r;

	r = find_section(image, name, &section);
	if (r < 0)
		return r;
	if (!gelf_getshdr(section, &header))
		return -EBADMSG;
	*ret_addr = header.sh_addr;
	*ret_size = header.sh_size;
	return 0;
}

int elf_image_read_section(struct elf_image *image, const char *name, size_t max,
			   const void **ret_bytes, size_t *ret_len)
{
	Elf_Scn *section;
	GElf_Shdr header;
	Elf_Data *data;
	int r;

	r = find_section(image, name, &section);
	if (r < 0)
		return r;
	if (!gelf_getshdr(section, &header))
		return -EBADMSG;
	if (header.sh_type == SHT_NOBITS)
		return -ENOENT;
	if (header.sh_size > max)
		return -EFBIG;
	data = read_section(section, &header);
	if (!data || !data->d_buf)
		return -EBADMSG;
	*ret_bytes = data->d_buf;
	*ret_len = data->d_size;
	return 0;
}

static bool is_in_code(struct elf_image *image, const GElf_Sym *sym)
{
	GElf_Shdr header;
	Elf_Scn *section = elf_getscn(image->elf, sym->st_shndx);

	return section && gelf_getshdr(section, &header) && header.sh_flags & SHF_EXECINSTR;
}

/* Whether a symbol is a function, and if so, which. */
static bool read_function(struct elf_image *image, const GElf_Sym *sym, const Elf_Data *strings,
			  struct elf_function *ret)
{
	unsigned type = GELF_ST_TYPE(sym->st_info);
	const char *name;

	if (sym->st_shndx == SHN_UNDEF || sym->st_value == 0)
		return false;
	if (type != STT_FUNC && type != STT_GNU_IFUNC &&
	    !(type == STT_NOTYPE && is_in_code(image, sym)))
		return false;
	if (sym->st_name >= strings->d_size)
		return false;
	name = (const char *)strings->d_buf + sym->st_name;
	if (!*name || !memchr(name, '\0', strings->d_size - sym->st_name))
		return false;
	*ret = (struct elf_function){
	    .name = name,
	    .value = sym->st_value,
	    .size = sym->st_size,
	    .global = GELF_ST_BIND(sym->st_info) == STB_GLOBAL,
	};
	return true;
}

int elf_image_each_function(struct elf_image *image, enum elf_table table, elf_function_fn fn,
			    void *ctx)
{
	Elf_Scn *section =
	    find_section_of_type(image, table == ELF_TABLE_FULL ? SHT_SYMTAB : SHT_DYNSYM);
	GElf_Shdr header, strings_header;
	Elf_Data *data, *strings;
	int n_symbols;

	if (!section)
		return -ENOENT;
	data = read_section(section, &header);
	if (!data || !data->d_buf)
		return -EBADMSG;
	strings = read_section(elf_getscn(image->elf, header.sh_link), &strings_header);
	if (!strings || !strings->d_buf)
		return -EBADMSG;
	n_symbols = (int)(data->d_size / sizeof(Elf64_Sym));
	for (int i = 0; i < n_symbols; i++) {
		struct elf_function function;
		GElf_Sym sym;

		if (!gelf_getsym(data, i, &sym))
			return -EBADMSG;
		if (read_function(image, &sym, strings, &function) && !fn(ctx, &function))
			break;
	}
	return 0;
}

bool elf_build_id_parse(const void *notes, size_t len, struct elf_build_id *ret)
{
	const unsigned char *bytes = notes;

	while (len >= sizeof(Elf64_Nhdr) + 4) {
		Elf64_Nhdr note;
		uint64_t name_len, desc_len;

		memcpy(&note, bytes, sizeof(note));
		name_len = ((uint64_t)note.n_namesz + 3) & ~UINT64_C(3);
		desc_len = ((uint64_t)note.n_descsz + 3) & ~UINT64_C(3);
		bytes += sizeof(note);
		len -= sizeof(note);
		if (name_len + note.n_descsz > len)
			return false;
		if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == 4 &&
		    memcmp(bytes, "GNU", 4) == 0 && note.n_descsz > 0 &&
		    note.n_descsz <= ELF_BUILD_ID_MAX) {
			ret->len = note.n_descsz;
			memcpy(ret->bytes, bytes + name_len, note.n_descsz);
			return true;
		}
		if (name_len + desc_len > len)
			return false;
		bytes += name_len + desc_len;
		len -= name_len + desc_len;
	}
	return false;
}

bool elf_image_build_id(struct elf_image *image, struct elf_build_id *ret)
{
	const void *notes;
	size_t len;

	return elf_image_read_section(image, ".note.gnu.build-id", 4096, &notes, &len) == 0 &&
	       elf_build_id_parse(notes, len, ret);
}

/* A name, padded to 4 bytes, and the CRC. */
int elf_image_debug_link(struct elf_image *image, char *name, size_t size, uint32_t *ret_crc)
{
	const void *bytes;
	size_t len, name_len;
	int r;

	r = elf_image_read_section(image, ".gnu_debuglink", 4096, &bytes, &len);
	if (r < 0)
		return r == -EFBIG ? -EBADMSG : r;
	name_len = strnlen(bytes, len);
	if (name_len == 0 || name_len >= size || memchr(bytes, '/', name_len) ||
	    ((name_len + 4) & ~(size_t)3) + sizeof(*ret_crc) > len)
		return -EBADMSG;
	memcpy(name, bytes, name_len);
	name[name_len] = '\0';
	if (strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EBADMSG;
	memcpy(ret_crc, (const char *)bytes + ((name_len + 4) & ~(size_t)3), sizeof(*ret_crc));
	return 0;
}

/* Whether the loader maps this segment so that a mapping begins at `offset` in it. */
static bool segment_covers(const GElf_Phdr *ph, uint64_t offset, uint64_t page)
{
	uint64_t first = ph->p_offset & ~(page - 1);
	uint64_t end;

	if (ph->p_type != PT_LOAD || !(ph->p_flags & PF_X))
		return false;
	if (__builtin_add_overflow(ph->p_offset, ph->p_filesz, &end))
		return false;
	return offset >= first && offset < end;
}

int elf_image_load_bias(struct elf_image *image, uint64_t start, uint64_t offset, uint64_t *ret)
{
	uint64_t page = (uint64_t)sysconf(_SC_PAGESIZE);
	size_t n;

	if (elf_getphdrnum(image->elf, &n) != 0)
		return -ENOENT;
	for (size_t i = 0; i < n && i < UINT16_MAX; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return -ENOENT;
		if (!segment_covers(&ph, offset, page))
			continue;
		*ret = start - (ph.p_vaddr & ~(page - 1)) - (offset - (ph.p_offset & ~(page - 1)));
		return 0;
	}
	return -ENOENT;
}

int elf_image_file_offset(struct elf_image *image, uint64_t address, bool executable, uint64_t *ret)
{
	uint32_t wanted = executable ? PF_X : PF_W;
	size_t n;

	if (elf_getphdrnum(image->elf, &n) != 0)
		return -ENOENT;
	for (size_t i = 0; i < n && i < UINT16_MAX; i++) {
		GElf_Phdr ph;

		if (!gelf_getphdr(image->elf, (int)i, &ph))
			return -ENOENT;
		if (ph.p_type != PT_LOAD || !(ph.p_flags & wanted) || address < ph.p_vaddr ||
		    address - ph.p_vaddr >= ph.p_filesz)
			continue;
		return __builtin_add_overflow(address - ph.p_vaddr, ph.p_offset, ret) ? -ENOENT : 0;
	}
	return -ENOENT;
}
