// Package locks keeps edit locks: whoever edits a thing holds its lock,
// everybody sees who that is, and the lock is free again when its holder is
// gone, without any word from a closing window.
//
// # Usage
//
// A lock is held by a [presence.Session], a page of a user's, and not by a
// connection: pages lose their connections and come back. A table sends what
// changes to a set:
//
//	var people presence.Tracker
//	var group sse.Set
//	cards := locks.Table[int]{
//		Presence: &people,
//		Set:      &group,
//		ChangeEvent:    func(c locks.Change[int]) sse.Event { … }, // the lock's icon
//		SnapshotEvent:    func(all []locks.Lock[int]) sse.Event { … }, // all icons
//	}
//	group.Snapshot = cards.Snapshot
//
// The handler of the streams says whose page it is:
//
//	session, err := people.Session(r)
//	…
//	people.Connect(source, session)
//	group.Add(source)
//	source.Detach()
//
// And what a page does about a lock is a request of its own:
//
//	lock, err := cards.Take(r.Context(), session, id)
//	if errors.Is(err, locks.ErrHeld) {
//		… lock.Holder.User edits this card
//	}
//
// [Table.Queue] waits in line, [Table.Steal] takes over, [Table.Release] gives
// the lock to the next in line.
//
// # When a lock is freed
//
// By its holder; when its time is over, if [Table.MaxHold] is set; and when the
// holder's session has ended: at once if the page says goodbye, which the
// script of package presence does when it is left or closed, and else a grace
// after its last connection was lost, 8 s if nothing else is said. A connection
// to a peer that is dead, because a cable was cut or a machine has crashed, is
// lost after some seconds more: within the write timeout after the next event
// or keep-alive comment, see [sse.AcceptOptions] and [sse.ConnContext].
//
// # Delivery and ordering
//
// A change is made first, and then told: by an event to the set, and to the
// function Changed. All changes are told in one order, the one in which they were
// made. A page that comes to the set anew is sent the whole table, and then
// what has changed meanwhile; some of it may be part of the table already. A
// page that resumes gets what it has missed. So nobody is left with an old icon.
//
// A method may return before its change has been told, if somebody else is just
// telling another. Those who wait are served in the order in which they came.
//
// # Saving
//
// Whoever has lost a lock may not know it yet. Each new holder gets a greater
// fence, and a save must name it: [Table.Guard] is a handler that refuses
// one with an old fence. Between its check and the database's commit the lock
// can still be lost, for example because a process was suspended. Where that
// matters the database should check as well, as in
//
//	UPDATE card SET text = ?, fence = ? WHERE id = ? AND fence <= ?
//
// # Cost
//
// With 10,000 sessions, each of which holds a lock, a lock is 0.6 KiB, and takes 1.5 µs
// to be taken or released, as long as nobody has to be told, in the table's own memory:
//
//	go test -run - -bench . ./locks
//
// # Restart
//
// The table's own memory is gone with the process: after a restart all locks are
// free, and pages that come back are told so by the whole table. Fences go on
// growing, since they begin with the clock's time, so that what was edited
// under a lock of before cannot overwrite anything unless it is taken again.
//
// # Several processes
//
// With a [backplane.Store] that several processes have, as in packages natslog and
// redislog, their tables of one name are one table, if their trackers are on the
// store as well:
//
//	people := presence.Tracker{Store: store, Key: key}
//	icons := sse.Set{History: -1}
//	cards := locks.Table[int]{Presence: &people, Store: store, Name: "cards", Hub: &hub, Set: &icons, …}
//	icons.Snapshot = cards.Snapshot
//
// Each process watches the store, and tells its own members what it sees there,
// in the store's order: hence a Set of its own for the locks, that keeps no
// history, since who comes anew gets the table. What is edited goes through the
// Hub; with Table.Hub a lock is not shown as free before the members have what was
// dispatched before its release.
//
// Locks stay when a process is restarted in time: within its lease, 10 s if
// nothing else is said. If it is gone for longer, its sessions are, and their
// locks are free, unless their pages have come to another process. A process
// that is cut off from the store knows so before the others act, by its own
// clock, and refuses saves, with [ErrCutOff]. A lock can have two holders only
// where a clock stands still, as that of a suspended machine, or where a store
// forgets what it has promised, as Redis does when it fails over; the fence
// is for those cases.
package locks
