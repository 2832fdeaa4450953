CREATE TABLE threads (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, created_at TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE items (id TEXT PRIMARY KEY, thread_id TEXT NOT NULL, user_id TEXT NOT NULL, created_at TEXT NOT NULL, data TEXT NOT NULL);
CREATE TABLE attachments (id TEXT PRIMARY KEY, user_id TEXT NOT NULL, data TEXT NOT NULL);
INSERT INTO threads VALUES ('thr_1', 'demo_user', '2025-11-01T08:00:00', '{"thread": {"id": "thr_1", "title": null, "created_at": "2025-11-01T08:00:00", "status": {"type": "active"}, "metadata": {}}}');
INSERT INTO items VALUES ('msg_2', 'thr_1', 'demo_user', '2025-11-01T08:00:02', '{"item": {"id": "msg_2", "thread_id": "thr_1", "created_at": "2025-11-01T08:00:02", "type": "assistant_message", "content": [{"type": "output_text", "text": "Hi", "annotations": []}]}}');
INSERT INTO items VALUES ('msg_1', 'thr_1', 'demo_user', '2025-11-01T08:00:01', '{"item": {"id": "msg_1", "thread_id": "thr_1", "created_at": "2025-11-01T08:00:01", "type": "user_message", "content": [{"type": "input_text", "text": "Hello"}], "attachments": [], "quoted_text": null, "inference_options": {}}}');
INSERT INTO items VALUES ('msg_3', 'thr_1', 'demo_user', '2025-11-01T08:00:03', 'no JSON');
INSERT INTO attachments VALUES ('atc_1', 'demo_user', '{"attachment": {"type": "file", "id": "atc_1", "name": "a.txt", "mime_type": "text/plain", "thread_id": "thr_1"}}');
