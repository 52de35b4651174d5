/*
 * replay_html_assets.c - the files of recorder/web/ inside the program, so that a page needs nothing
 * from anywhere: asciinema-player (recorder/web/fetch says which version and where from).
 */
#include "replay_html.h"

#define EMBED(name, file)                                                                     \
	__asm__(".section .rodata\n.balign 16\n" #name ":\n.incbin \"" file "\"\n" #name "_end:\n" \
		".balign 8\n" #name "_size:\n.quad " #name "_end - " #name "\n.previous\n");      \
	extern const char name[] __attribute__((visibility("hidden")));                       \
	extern const uint64_t name##_size __attribute__((visibility("hidden")))

EMBED(asset_player_js, "recorder/web/asciinema-player.min.js");
EMBED(asset_player_css, "recorder/web/asciinema-player.css");
EMBED(asset_page_js, "recorder/web/page.js");
EMBED(asset_page_css, "recorder/web/page.css");

struct span html_asset(enum html_asset which)
{
	switch (which) {
	case ASSET_PLAYER_JS: return SPAN(asset_player_js, asset_player_js_size);
	case ASSET_PLAYER_CSS: return SPAN(asset_player_css, asset_player_css_size);
	case ASSET_PAGE_JS: return SPAN(asset_page_js, asset_page_js_size);
	default: return SPAN(asset_page_css, asset_page_css_size);
	}
}
