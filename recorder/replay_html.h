/*
 * replay_html.h - the page of `bastion-replay export --html`.
 */
#ifndef BASTION_REPLAY_HTML_H
#define BASTION_REPLAY_HTML_H

#include "crypto.h"
#include "replay.h"

enum html_asset { ASSET_PLAYER_JS, ASSET_PLAYER_CSS, ASSET_PAGE_JS, ASSET_PAGE_CSS };

/* A file of recorder/web/, built into the program; none has `</script` or `</style` in it. */
struct span html_asset(enum html_asset which);

/* The page of a recording, with the player on channel c, to standard output. 0, or -1: said on standard error. */
int html_export(const struct recording *rec, const struct scan *s, const struct channel *c,
    const struct age_identities *ids, struct typed_map *typed);

#endif
