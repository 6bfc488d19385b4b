package main

import (
	"context"
	"time"

	"github.com/msgorch/msgorch/internal/config"
	"github.com/msgorch/msgorch/internal/media"
)

// checkMedia writes to the media store, reads and deletes.
func (d *doctor) checkMedia(ctx context.Context, cfg config.Config) {
	const part = "media store"
	store, err := media.Open(cfg.MediaStore, media.Credentials(cfg.AWS))
	if err != nil {
		d.fail(part, "mend MEDIA_STORE", "%v", err)
		return
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	if err := store.Check(ctx); err != nil {
		d.fail(part, "mend MEDIA_STORE, or who may write there", "%s: %v", store, err)
		return
	}
	d.ok(part, "%s can be written and read", store)
}
