CREATE TABLE chat_threads (
    id VARCHAR(255) PRIMARY KEY,
    user_id VARCHAR(255),
    title VARCHAR(255),
    metadata JSONB NOT NULL DEFAULT '{}',
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    updated_at TIMESTAMPTZ NOT NULL DEFAULT NOW()
);
CREATE TABLE chat_thread_items (
    id VARCHAR(255) PRIMARY KEY,
    thread_id VARCHAR(255) NOT NULL REFERENCES chat_threads(id) ON DELETE CASCADE,
    type VARCHAR(50) NOT NULL,
    role VARCHAR(50),
    content JSONB NOT NULL,
    created_at TIMESTAMPTZ NOT NULL DEFAULT NOW(),
    n_tokens INTEGER
);
INSERT INTO chat_threads VALUES
    ('thr_1', 'alice', 'First', '{"page": 3}', '2025-12-16 10:00:00+00', '2025-12-16 11:00:00+00'),
    ('thr_2', NULL, NULL, '{}', '2025-12-17 10:00:00+00', '2025-12-17 10:00:00+00');
INSERT INTO chat_thread_items VALUES
    ('msg_1', 'thr_1', 'message', 'user', '{"text": "Hello"}', '2025-12-16 10:00:01+00', NULL),
    ('msg_2', 'thr_1', 'message', 'assistant', '[{"type": "output_text", "text": "Hi"}]', '2025-12-16 10:00:02+00', 7),
    ('msg_3', 'thr_1', 'tool_call', NULL, '{"name": "search", "arguments": {}}', '2025-12-16 10:00:03+00', NULL),
    ('msg_4', 'thr_1', 'user_message', 'user', '{"id": "msg_4", "thread_id": "thr_1", "type": "user_message", "created_at": "2025-12-16T10:00:04", "content": [{"type": "input_text", "text": "Whole"}], "attachments": [], "inference_options": {}}', '2025-12-16 10:00:04+00', NULL),
    ('msg_5', 'thr_2', 'message', 'user', '"Whose?"', '2025-12-17 10:00:01+00', NULL);
