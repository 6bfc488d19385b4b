package outbound

import (
	"crypto/sha256"
	"slices"

	"github.com/msgorch/msgorch/db"
	"github.com/msgorch/msgorch/internal/secret"
)

// AppSecretContext is what an instance's sealed app secret is bound to.
func AppSecretContext(instance string) string { return "instance:" + instance + ":app_secret" }

// PutAppSecret puts an instance's app secret into p. One that the instance has
// already changes nothing: storing it again would forget the one before it.
func PutAppSecret(box *secret.Box, before db.Instance, s secret.Text, p *db.PutInstanceParams) (err error) {
	hash := sha256.Sum256([]byte(s.Reveal()))
	if len(before.AppSecretHashes) > 0 && slices.Equal(before.AppSecretHashes[0], hash[:]) {
		return nil
	}
	p.AppSecretHash = hash[:]
	p.AppSecret, err = box.Seal(AppSecretContext(p.Name), s)
	return err
}
