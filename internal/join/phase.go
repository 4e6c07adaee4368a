package join

// This file is the life of a connection, without the connection: a table of
// what may happen in each phase, and what follows.
//
//	open ──stopped, finished──► leaving ──settled──► parting ──► over
//	  ├──halfClosed──► onward ──allSent──► draining ──settled──► over
//	  └──sendFailed──► failing ──► over

// phase is how far a connection is.
type phase uint8

const (
	open     phase = iota // both directions are
	onward                // the server sends nothing more; we do
	leaving               // we end the connection once the server has all
	parting               // it has all, and may end the connection itself
	draining              // both directions have ended; the system may still deliver what we sent
	failing               // sending has failed; what comes is still read
	over
)

// event is what happens to a connection.
type event uint8

const (
	nothing    event = iota
	ended            // the server has ended the connection, or receiving has failed
	halfClosed       // the server sends nothing more, but may read on
	bothEnded        // the server sends nothing more, and neither do we
	allSent          // STDIN has ended, and all of it is sent
	sendFailed       // sending has
	finished         // nothing is left to do, with --eof=exit
	stopped          // ctx is done
	settled          // the server has all that was sent
	stalled          // nothing moves any more
	lost             // STDOUT is, or the connection
	timeUp           // the timer that an action started has fired
)

// action is what to do then.
type action uint8

const (
	none   action = iota
	leave         // take nothing more from STDIN, and send what is left
	part          // say goodbye, and wait a moment for the answer
	linger        // wait a moment for what the server still says
)

type step struct {
	to phase
	do action
}

// steps are the phases' exits. Any other event leaves a phase as it is, but for
// lost and timeUp, which end every one.
var steps = map[phase]map[event]step{
	open: {
		ended:      {to: over},
		halfClosed: {to: onward},
		bothEnded:  {to: draining},
		sendFailed: {failing, linger},
		finished:   {leaving, leave},
		stopped:    {leaving, leave},
	},
	onward: {
		allSent:    {to: draining},
		sendFailed: {to: over},
		stopped:    {onward, leave},
		stalled:    {to: over},
	},
	leaving: {
		ended:      {to: over},
		halfClosed: {to: onward},
		bothEnded:  {to: draining},
		sendFailed: {failing, linger},
		stopped:    {leaving, leave},
		settled:    {parting, part},
		stalled:    {to: over},
	},
	parting: {
		ended:     {to: over},
		bothEnded: {to: draining},
	},
	draining: {
		finished: {draining, leave},
		stopped:  {draining, leave},
		settled:  {to: over},
		stalled:  {to: over},
	},
	failing: {
		ended:   {to: over},
		stopped: {failing, leave},
		stalled: {to: over},
	},
}

// next returns what follows an event.
func next(p phase, e event) (phase, action) {
	if e == lost || e == timeUp {
		return over, none
	}
	if s, ok := steps[p][e]; ok {
		return s.to, s.do
	}
	return p, none
}
