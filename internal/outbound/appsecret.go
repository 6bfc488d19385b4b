package outbound

import (
	"github.com/msgorch/msgorch/internal/secret"
)

// AppSecretContext is what an instance's sealed app secret is bound to.
func AppSecretContext(instance string) string { return "instance:" + instance + ":app_secret" }

// SealAppSecret seals an instance's app secret. It returns nil when before holds
// the same one: storing it again would forget the one before it.
func SealAppSecret(box *secret.Box, instance string, before []byte, s secret.Text) ([]byte, error) {
	if old, err := box.Open(AppSecretContext(instance), before); err == nil && len(before) > 0 && old == s {
		return nil, nil
	}
	return box.Seal(AppSecretContext(instance), s)
}
