package secret

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/hkdf"
	"crypto/sha256"
	"errors"
	"fmt"
)

// KeyBytes is the length of the key that NewBox takes, in bytes.
const KeyBytes = 32

// What can go wrong with a Box. None of them carries a secret.
var (
	// ErrNoKey means that the Box has no key.
	ErrNoKey = errors.New("SECRET_KEY is not set: make one with `openssl rand -base64 32`")
	// ErrWrongKey means that the text was sealed with another key.
	ErrWrongKey = errors.New("the credential was sealed with another SECRET_KEY: set the one that sealed it, or store the credential again")
	// ErrCorrupt means that the bytes are not what Seal returned, or that they
	// were sealed in another context.
	ErrCorrupt = errors.New("the sealed credential is damaged or belongs to something else: store it again")
)

// A sealed text is: version (1 byte), key id (4 bytes), nonce (12 bytes),
// ciphertext, tag (16 bytes).
const (
	sealVersion = 1
	keyIDBytes  = 4
	headerBytes = 1 + keyIDBytes
)

// keyUse separates this use of SECRET_KEY from any other. Changing it makes
// every sealed credential unreadable.
const keyUse = "msgorch: credentials at rest"

// Box seals credentials that rest in the database with AES-256-GCM. It may be
// used by many goroutines at once. The zero value has no key: Seal and Open
// return ErrNoKey.
type Box struct {
	aead  cipher.AEAD
	keyID [keyIDBytes]byte
}

// NewBox returns a Box for a key of KeyBytes bytes. An empty key gives a Box
// without one, for an installation that stores no credentials.
func NewBox(key []byte) (*Box, error) {
	if len(key) == 0 {
		return &Box{}, nil
	}
	if len(key) != KeyBytes {
		return nil, fmt.Errorf("a sealing key has %d bytes, not %d", KeyBytes, len(key))
	}
	derived, err := hkdf.Key(sha256.New, key, nil, keyUse, KeyBytes)
	if err != nil {
		return nil, fmt.Errorf("derive sealing key: %w", err)
	}
	block, err := aes.NewCipher(derived)
	if err != nil {
		return nil, fmt.Errorf("make sealing cipher: %w", err)
	}
	aead, err := cipher.NewGCMWithRandomNonce(block)
	if err != nil {
		return nil, fmt.Errorf("make sealing cipher: %w", err)
	}
	sum := sha256.Sum256(derived)
	return &Box{aead: aead, keyID: [keyIDBytes]byte(sum[:])}, nil
}

// Seal encrypts t. The context says what it belongs to, such as
// "instance:sales:credential"; Open needs the same one, so a sealed text that
// was copied to another row cannot be used there. Two calls never return the
// same bytes. The error is ErrNoKey or nil.
func (b *Box) Seal(context string, t Text) ([]byte, error) {
	if b.aead == nil {
		return nil, ErrNoKey
	}
	sealed := append([]byte{sealVersion}, b.keyID[:]...)
	return b.aead.Seal(sealed, nil, []byte(t), []byte(context)), nil //nolint:gosec // nil, as the AEAD makes the nonce
}

// Open decrypts what Seal returned for the same context. The error is ErrNoKey,
// ErrWrongKey, ErrCorrupt or nil. No input makes it panic.
func (b *Box) Open(context string, sealed []byte) (Text, error) {
	if b.aead == nil {
		return "", ErrNoKey
	}
	if len(sealed) < headerBytes+b.aead.Overhead() || sealed[0] != sealVersion {
		return "", ErrCorrupt
	}
	header, body := sealed[:headerBytes], sealed[headerBytes:]
	if [keyIDBytes]byte(header[1:]) != b.keyID {
		return "", ErrWrongKey
	}
	plain, err := b.aead.Open(nil, nil, body, []byte(context))
	if err != nil {
		return "", ErrCorrupt
	}
	return Text(plain), nil
}
