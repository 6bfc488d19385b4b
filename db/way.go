package db

import "time"

// Way is all that is known of an outbound message's way to its reader: when each
// thing was first shown. The zero time means that it was not.
//
// It says what ApplyEvidence does, in Go. Ways form a semilattice: Join takes the
// earlier of each two times, so evidence may be joined in any order, in any
// grouping and any number of times, and gives the same Way. Status is a function
// of the Way, and that is why it never depends on what came first.
type Way struct {
	Accepted, Sent, Delivered, Read, Played time.Time
	Failed                                  time.Time // as the gateway says
	GaveUp                                  time.Time // our own judgement, which any evidence overrules
}

// Shown is the Way of a single piece of evidence. A larger status implies the
// smaller ones. Statuses that no gateway reports show nothing.
func Shown(status MessageStatus, at time.Time) (w Way) {
	switch status {
	case MessageStatusAccepted:
	case MessageStatusSent:
		w.Sent = at
	case MessageStatusDelivered:
		w.Sent, w.Delivered = at, at
	case MessageStatusRead:
		w.Sent, w.Delivered, w.Read = at, at, at
	case MessageStatusPlayed:
		w.Sent, w.Delivered, w.Read, w.Played = at, at, at, at
	case MessageStatusFailed:
		w.Failed = at
	default:
		return w
	}
	w.Accepted = at // who speaks of it has it
	return w
}

// Join is what both know together.
func (w Way) Join(o Way) Way {
	return Way{
		Accepted: first(w.Accepted, o.Accepted), Sent: first(w.Sent, o.Sent), Delivered: first(w.Delivered, o.Delivered),
		Read: first(w.Read, o.Read), Played: first(w.Played, o.Played),
		Failed: first(w.Failed, o.Failed), GaveUp: first(w.GaveUp, o.GaveUp),
	}
}

// Status is the best that was shown. A failure counts until the message was
// delivered, a judgement of our own until anything shows that the gateway has
// it. A Way that shows nothing is that of a message just accepted.
func (w Way) Status() MessageStatus {
	switch {
	case !w.Played.IsZero():
		return MessageStatusPlayed
	case !w.Read.IsZero():
		return MessageStatusRead
	case !w.Delivered.IsZero():
		return MessageStatusDelivered
	case !w.Failed.IsZero():
		return MessageStatusFailed
	case !w.Sent.IsZero():
		return MessageStatusSent
	case w.Accepted.IsZero() && !w.GaveUp.IsZero():
		return MessageStatusFailed
	}
	return MessageStatusAccepted
}

// first returns the earlier of two times; a zero one is none.
func first(a, b time.Time) time.Time {
	if a.IsZero() || !b.IsZero() && b.Before(a) {
		return b
	}
	return a
}

// Way is what the row says of the message's way.
func (k KnownWaysRow) Way() Way {
	at := func(t *time.Time) time.Time {
		if t == nil {
			return time.Time{}
		}
		return *t
	}
	w := Way{Accepted: at(k.AcceptedAt), Sent: at(k.SentAt), Delivered: at(k.DeliveredAt), Read: at(k.ReadAt), Played: at(k.PlayedAt)}
	if k.AcceptedAt != nil {
		w.Failed = at(k.StoppedAt)
	} else {
		w.GaveUp = at(k.StoppedAt)
	}
	return w
}

// Learns reports whether a status that a gateway reports now would change the
// row: a better one of ours, or that somebody else's was read by us.
func (k KnownWaysRow) Learns(status MessageStatus) bool {
	if k.Direction == MessageDirectionInbound {
		read := status == MessageStatusRead || status == MessageStatusPlayed
		return read && k.ReadAt == nil
	}
	way := k.Way()
	return way.Join(Shown(status, time.Now())).Status() != way.Status()
}
