// SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
//
// SPDX-License-Identifier: Apache-2.0

package gobgp

import (
	"context"
	"log/slog"

	"github.com/osrg/gobgp/v3/pkg/log"
)

// logger hands GoBGP's messages on. What GoBGP calls fatal or panic must not end the agent, which has pods to look after.
type logger struct {
	log *slog.Logger
	// history learns from the messages why sessions end: GoBGP has no other way to tell.
	history *history
}

var _ log.Logger = &logger{}

func (l *logger) Panic(msg string, fields log.Fields) { l.at(slog.LevelError, msg, fields) }
func (l *logger) Fatal(msg string, fields log.Fields) { l.at(slog.LevelError, msg, fields) }
func (l *logger) Error(msg string, fields log.Fields) { l.at(slog.LevelError, msg, fields) }
func (l *logger) Warn(msg string, fields log.Fields)  { l.at(slog.LevelWarn, msg, fields) }
func (l *logger) Info(msg string, fields log.Fields)  { l.at(slog.LevelInfo, msg, fields) }
func (l *logger) Debug(msg string, fields log.Fields) { l.at(slog.LevelDebug, msg, fields) }
func (l *logger) SetLevel(log.LogLevel)               {}

// GetLevel is that of which the failures to connect are.
func (l *logger) GetLevel() log.LogLevel { return log.DebugLevel }

func (l *logger) at(level slog.Level, msg string, fields log.Fields) {
	l.history.message(msg, fields)
	if !l.log.Enabled(context.Background(), level) {
		return
	}
	attributes := make([]slog.Attr, 0, len(fields))
	for key, value := range fields {
		attributes = append(attributes, slog.Any(key, value))
	}
	l.log.LogAttrs(context.Background(), level, msg, attributes...)
}
