/* Any bytes as a file of keys; those that come out are used. */
#include "../../app/http/jwks.c"

#include <assert.h>
#include <stdint.h>

static void use(const struct jwk *key)
{
	struct buf signature = BUF_INIT;
	char type[JWK_TYPE_MAX];

	jwk_describe(key, type);
	assert(strlen(jwk_kid(key)) <= JWK_KID_MAX);
	if (jwk_can_sign(key)) {
		assert(jwk_sign(key, "text", 4, &signature) == 0);
		assert(jwk_verify(key, "text", 4, &signature));
		assert(!jwk_verify(key, "test", 4, &signature));
	}
	buf_release(&signature);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
	char why[JWKS_WHY_MAX] = "";
	struct jwks *set = alloc_zeroed(1, sizeof *set);
	const struct reading r = { .set = set, .path = "file", .why = why };
	struct buf text = BUF_INIT;

	buf_add(&text, data, len);
	if (add_text(&r, &text) == 0) {
		assert(set->count > 0 && set->count <= JWKS_MAX);
		for (unsigned i = 0; i < set->count; i++)
			use(set->keys[i]);
	} else {
		assert(why[0] != '\0');
	}
	jwks_free(set);
	buf_release(&text);
	return 0;
}
