/* SPDX-License-Identifier: BSD-3-Clause */
#include "reader/html_page.h"

#include <nettle/sha2.h>
#include <stdlib.h>
#include <string.h>

#include "common/cleanup.h"
#include "common/xalloc.h"
#include "reader/html_files.h"
#include "reader/html_pack.h"

/* "sha256-…", as a policy names what may be there. The caller frees. */
static char *hash_source(const char *text, size_t len)
{
	uint8_t digest[SHA256_DIGEST_SIZE];
	auto_free char *base64 = NULL;
	struct sha256_ctx ctx;

	sha256_init(&ctx);
	sha256_update(&ctx, len, (const uint8_t *)text);
	sha256_digest(&ctx, sizeof(digest), digest);
	base64 = html_base64(digest, sizeof(digest));
	return xasprintf("sha256-%s", base64);
}

/* All parts of the script, one after the other. The caller frees. */
static char *join_scripts(void)
{
	size_t len = 0, at = 0;
	char *text;

	for (size_t i = 0; i < html_n_scripts(); i++)
		len += html_script(i).len;
	text = xmalloc(len + 1);
	for (size_t i = 0; i < html_n_scripts(); i++) {
		struct html_file f = html_script(i);

		memcpy(text + at, f.text, f.len);
		at += f.len;
	}
	text[len] = '\0';
	return text;
}

static char *make_policy(const char *style, const char *script)
{
	auto_free char *style_hash = hash_source(style, strlen(style));
	auto_free char *script_hash = hash_source(script, strlen(script));

	return xasprintf("default-src 'none'; style-src '%s'; script-src '%s'; base-uri 'none'; "
			 "form-action 'none'",
			 style_hash, script_hash);
}

/* The template up to and without "@NAME@", from which *at on the rest goes. */
static void write_until(FILE *out, const struct html_file *page, size_t *at, const char *mark)
{
	const char *from = page->text + *at;
	const char *found = memmem(from, page->len - *at, mark, strlen(mark));
	size_t n = found ? (size_t)(found - from) : page->len - *at;

	fwrite(from, 1, n, out);
	*at += n + (found ? strlen(mark) : 0);
}

void html_page_write(FILE *out, const char *data)
{
	struct html_file page = html_template(), css = html_style();
	auto_free char *style = xstrndup(css.text, css.len);
	auto_free char *script = join_scripts();
	auto_free char *policy = make_policy(style, script);
	size_t at = 0;

	write_until(out, &page, &at, "@POLICY@");
	fputs(policy, out);
	write_until(out, &page, &at, "@STYLE@");
	fputs(style, out);
	write_until(out, &page, &at, "@DATA@");
	fputs(data, out);
	write_until(out, &page, &at, "@SCRIPT@");
	fputs(script, out);
	fwrite(page.text + at, 1, page.len - at, out);
}

size_t html_page_overhead(void)
{
	auto_free char *text = NULL;
	size_t len = 0;
	FILE *out = open_memstream(&text, &len);

	if (!out)
		xalloc_failed();
	html_page_write(out, "");
	fclose(out);
	return len;
}
