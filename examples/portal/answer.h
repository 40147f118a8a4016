/*
 * answer.h: a request in, a response out. Knows nothing of CGI, so another loop can call it as well.
 *
 *     /            the page                          counted
 *     /box.html    the box alone, for SSI            counted
 *     /box.json    the numbers alone                 not counted, may be a few seconds old
 *
 * each also below /vi and /en, in that language. HEAD and OPTIONS are answered and not counted, nor is a page that a
 * browser fetches in advance.
 */
#ifndef PORTAL_ANSWER_H
#define PORTAL_ANSWER_H

#include "box.h"
#include "request.h"
#include "response.h"
#include "setup.h"

/* response must be zero, its body is to be freed. */
void answer_request(const struct setup *setup, struct box *box, const struct request *request,
                    struct response *response);

#endif
