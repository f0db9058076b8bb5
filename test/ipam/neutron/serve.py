# SPDX-FileCopyrightText: The gardener-extension-networking-ipv6 contributors
#
# SPDX-License-Identifier: Apache-2.0

"""Serve Keystone or Neutron on a socket that was opened by whoever started this: serve.py keystone|neutron FD.

The socket is inherited, so nobody has to guess a free port, and a client that comes too early waits in its backlog.
"""

import socket
import sys

service, listener = sys.argv[1], socket.socket(fileno=int(sys.argv[2]))

if service == "neutron":
    sys.argv[1:] = ["--config-file", "/run/stack/neutron.conf"]
    from neutron.cmd.eventlet.server import main_api_eventlet

    app = main_api_eventlet()
    import eventlet.greenio
    import eventlet.wsgi

    # SQLite knows one writer at a time and would block the whole process rather than the green thread that waits for it.
    turn = eventlet.semaphore.Semaphore()

    def one_at_a_time(environ, start_response):
        with turn:
            return app(environ, start_response)

    eventlet.wsgi.server(eventlet.greenio.GreenSocket(listener), one_at_a_time, log=sys.stdout)
else:
    import socketserver
    import threading
    import wsgiref.simple_server

    sys.argv[1:] = []
    from keystone.server.wsgi import initialize_public_application

    app, turn = initialize_public_application(), threading.Lock()

    def one_at_a_time(environ, start_response):
        with turn:
            return app(environ, start_response)

    class Server(socketserver.ThreadingMixIn, wsgiref.simple_server.WSGIServer):
        daemon_threads = True

    host, port = listener.getsockname()
    server = Server((host, port), wsgiref.simple_server.WSGIRequestHandler, bind_and_activate=False)
    server.socket.close()
    server.socket, server.server_name, server.server_port = listener, host, port
    server.setup_environ()
    server.set_app(one_at_a_time)
    server.serve_forever()
