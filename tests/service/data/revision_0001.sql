-- A database of optselect 0.1.0 at revision 0001, made by its own commands: study `ended` is finished; of study
-- `halfway` two search trials are, and a worker was killed -9 in its third. Written by pg_dump; not to be edited.
SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA optselect;
CREATE SCHEMA optuna;
CREATE TYPE optuna.studydirection AS ENUM (
    'NOT_SET',
    'MINIMIZE',
    'MAXIMIZE'
);
CREATE TYPE optuna.trialintermediatevaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG',
    'NAN'
);
CREATE TYPE optuna.trialstate AS ENUM (
    'RUNNING',
    'COMPLETE',
    'PRUNED',
    'FAIL',
    'WAITING'
);
CREATE TYPE optuna.trialvaluetype AS ENUM (
    'FINITE',
    'INF_POS',
    'INF_NEG'
);
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE optselect.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE optselect.checkpoint (
    ticket_id bigint NOT NULL,
    epoch integer NOT NULL,
    uri text,
    bytes bigint,
    sha256 text,
    opt_phase integer,
    body bytea,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL
);
ALTER TABLE ONLY optselect.checkpoint ALTER COLUMN body SET STORAGE EXTERNAL;
CREATE TABLE optselect.epoch_log (
    ticket_id bigint NOT NULL,
    epoch integer NOT NULL,
    ts_ms bigint NOT NULL,
    metrics jsonb NOT NULL
);
CREATE TABLE optselect.meta (
    key text NOT NULL,
    value text NOT NULL
);
CREATE TABLE optselect.outbox (
    ticket_id bigint NOT NULL,
    mlflow_epoch integer DEFAULT 0 NOT NULL,
    finished boolean DEFAULT false NOT NULL,
    superseded jsonb DEFAULT '[]'::jsonb NOT NULL,
    next_try timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    error text
);
CREATE TABLE optselect.study (
    id bigint NOT NULL,
    name text NOT NULL,
    optuna_study_name text NOT NULL,
    spec jsonb NOT NULL,
    spec_version integer NOT NULL,
    problem jsonb NOT NULL,
    bundle jsonb NOT NULL,
    bundle_sha256 text NOT NULL,
    data_hash text NOT NULL,
    versions jsonb NOT NULL,
    objective text NOT NULL,
    direction text NOT NULL,
    budget integer NOT NULL,
    state text DEFAULT 'running'::text NOT NULL,
    tracking_uri text,
    mlflow_experiment_id text,
    created_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    finished_at timestamp with time zone,
    CONSTRAINT study_direction_check CHECK ((direction = ANY (ARRAY['minimize'::text, 'maximize'::text]))),
    CONSTRAINT study_state_check CHECK ((state = ANY (ARRAY['running'::text, 'paused'::text, 'stopped'::text, 'finished'::text])))
);
ALTER TABLE optselect.study ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME optselect.study_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE optselect.ticket (
    id bigint NOT NULL,
    study_id bigint NOT NULL,
    ord integer NOT NULL,
    state text DEFAULT 'free'::text NOT NULL,
    attempt integer DEFAULT 0 NOT NULL,
    max_attempts integer DEFAULT 3 NOT NULL,
    restarts integer DEFAULT 0 NOT NULL,
    worker_id uuid,
    token uuid,
    lease_until timestamp with time zone,
    phase text NOT NULL,
    optimizer text,
    seed bigint NOT NULL,
    fixed_params jsonb,
    params jsonb,
    trial_id integer,
    trial_number integer,
    trial_value double precision,
    epochs integer DEFAULT 0 NOT NULL,
    mlflow_run_id text,
    outcome text,
    result jsonb,
    error text,
    started_at timestamp with time zone,
    finished_at timestamp with time zone,
    CONSTRAINT ticket_outcome_check CHECK ((outcome = ANY (ARRAY['complete'::text, 'pruned'::text, 'diverged'::text, 'failed'::text]))),
    CONSTRAINT ticket_state_check CHECK ((state = ANY (ARRAY['free'::text, 'leased'::text, 'done'::text])))
);
ALTER TABLE optselect.ticket ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME optselect.ticket_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE optselect.worker (
    id uuid NOT NULL,
    study_id bigint NOT NULL,
    host text,
    pid integer,
    boot_id text,
    device text,
    slot integer,
    state text,
    stop_requested boolean DEFAULT false NOT NULL,
    started_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    heartbeat_at timestamp with time zone DEFAULT clock_timestamp() NOT NULL,
    epoch_rate real
);
CREATE TABLE optuna.alembic_version (
    version_num character varying(32) NOT NULL
);
CREATE TABLE optuna.studies (
    study_id integer NOT NULL,
    study_name character varying(512) NOT NULL
);
CREATE SEQUENCE optuna.studies_study_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.studies_study_id_seq OWNED BY optuna.studies.study_id;
CREATE TABLE optuna.study_directions (
    study_direction_id integer NOT NULL,
    direction optuna.studydirection NOT NULL,
    study_id integer NOT NULL,
    objective integer NOT NULL
);
CREATE SEQUENCE optuna.study_directions_study_direction_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.study_directions_study_direction_id_seq OWNED BY optuna.study_directions.study_direction_id;
CREATE TABLE optuna.study_system_attributes (
    study_system_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE optuna.study_system_attributes_study_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.study_system_attributes_study_system_attribute_id_seq OWNED BY optuna.study_system_attributes.study_system_attribute_id;
CREATE TABLE optuna.study_user_attributes (
    study_user_attribute_id integer NOT NULL,
    study_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE optuna.study_user_attributes_study_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.study_user_attributes_study_user_attribute_id_seq OWNED BY optuna.study_user_attributes.study_user_attribute_id;
CREATE TABLE optuna.trial_heartbeats (
    trial_heartbeat_id integer NOT NULL,
    trial_id integer NOT NULL,
    heartbeat timestamp without time zone NOT NULL
);
CREATE SEQUENCE optuna.trial_heartbeats_trial_heartbeat_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_heartbeats_trial_heartbeat_id_seq OWNED BY optuna.trial_heartbeats.trial_heartbeat_id;
CREATE TABLE optuna.trial_intermediate_values (
    trial_intermediate_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    step integer NOT NULL,
    intermediate_value double precision,
    intermediate_value_type optuna.trialintermediatevaluetype NOT NULL
);
CREATE SEQUENCE optuna.trial_intermediate_values_trial_intermediate_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_intermediate_values_trial_intermediate_value_id_seq OWNED BY optuna.trial_intermediate_values.trial_intermediate_value_id;
CREATE TABLE optuna.trial_params (
    param_id integer NOT NULL,
    trial_id integer,
    param_name character varying(512),
    param_value double precision,
    distribution_json text
);
CREATE SEQUENCE optuna.trial_params_param_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_params_param_id_seq OWNED BY optuna.trial_params.param_id;
CREATE TABLE optuna.trial_system_attributes (
    trial_system_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE optuna.trial_system_attributes_trial_system_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_system_attributes_trial_system_attribute_id_seq OWNED BY optuna.trial_system_attributes.trial_system_attribute_id;
CREATE TABLE optuna.trial_user_attributes (
    trial_user_attribute_id integer NOT NULL,
    trial_id integer,
    key character varying(512),
    value_json text
);
CREATE SEQUENCE optuna.trial_user_attributes_trial_user_attribute_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_user_attributes_trial_user_attribute_id_seq OWNED BY optuna.trial_user_attributes.trial_user_attribute_id;
CREATE TABLE optuna.trial_values (
    trial_value_id integer NOT NULL,
    trial_id integer NOT NULL,
    objective integer NOT NULL,
    value double precision,
    value_type optuna.trialvaluetype NOT NULL
);
CREATE SEQUENCE optuna.trial_values_trial_value_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trial_values_trial_value_id_seq OWNED BY optuna.trial_values.trial_value_id;
CREATE TABLE optuna.trials (
    trial_id integer NOT NULL,
    number integer,
    study_id integer,
    state optuna.trialstate NOT NULL,
    datetime_start timestamp without time zone,
    datetime_complete timestamp without time zone
);
CREATE SEQUENCE optuna.trials_trial_id_seq
    AS integer
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1;
ALTER SEQUENCE optuna.trials_trial_id_seq OWNED BY optuna.trials.trial_id;
CREATE TABLE optuna.version_info (
    version_info_id integer NOT NULL,
    schema_version integer,
    library_version character varying(256),
    CONSTRAINT version_info_version_info_id_check CHECK ((version_info_id = 1))
);
ALTER TABLE ONLY optuna.studies ALTER COLUMN study_id SET DEFAULT nextval('optuna.studies_study_id_seq'::regclass);
ALTER TABLE ONLY optuna.study_directions ALTER COLUMN study_direction_id SET DEFAULT nextval('optuna.study_directions_study_direction_id_seq'::regclass);
ALTER TABLE ONLY optuna.study_system_attributes ALTER COLUMN study_system_attribute_id SET DEFAULT nextval('optuna.study_system_attributes_study_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY optuna.study_user_attributes ALTER COLUMN study_user_attribute_id SET DEFAULT nextval('optuna.study_user_attributes_study_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_heartbeats ALTER COLUMN trial_heartbeat_id SET DEFAULT nextval('optuna.trial_heartbeats_trial_heartbeat_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_intermediate_values ALTER COLUMN trial_intermediate_value_id SET DEFAULT nextval('optuna.trial_intermediate_values_trial_intermediate_value_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_params ALTER COLUMN param_id SET DEFAULT nextval('optuna.trial_params_param_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_system_attributes ALTER COLUMN trial_system_attribute_id SET DEFAULT nextval('optuna.trial_system_attributes_trial_system_attribute_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_user_attributes ALTER COLUMN trial_user_attribute_id SET DEFAULT nextval('optuna.trial_user_attributes_trial_user_attribute_id_seq'::regclass);
ALTER TABLE ONLY optuna.trial_values ALTER COLUMN trial_value_id SET DEFAULT nextval('optuna.trial_values_trial_value_id_seq'::regclass);
ALTER TABLE ONLY optuna.trials ALTER COLUMN trial_id SET DEFAULT nextval('optuna.trials_trial_id_seq'::regclass);
INSERT INTO optselect.alembic_version VALUES
	('0001');
INSERT INTO optselect.epoch_log VALUES
	(1, 1, 1795722568270, '{"mae": 1.8018600940704346, "loss": 6.179590702056885, "val_mae": 1.5547411441802979, "val_loss": 5.8696675300598145, "learning_rate": 0.01}'),
	(1, 2, 1795722568681, '{"mae": 1.74196195602417, "loss": 5.779140949249268, "val_mae": 1.4972944259643555, "val_loss": 5.49533748626709, "learning_rate": 0.01}'),
	(1, 3, 1795722569259, '{"mae": 1.6925384998321533, "loss": 5.4369049072265625, "val_mae": 1.468700647354126, "val_loss": 5.185402870178223, "learning_rate": 0.01}'),
	(1, 4, 1795722569458, '{"mae": 1.6489841938018799, "loss": 5.158058166503906, "val_mae": 1.4431897401809692, "val_loss": 4.928783416748047, "learning_rate": 0.01}'),
	(1, 5, 1795722569778, '{"mae": 1.6189817190170288, "loss": 4.979823589324951, "val_mae": 1.4222127199172974, "val_loss": 4.7049150466918945, "learning_rate": 0.01}'),
	(1, 6, 1795722569971, '{"mae": 1.5921167135238647, "loss": 4.761214733123779, "val_mae": 1.408150315284729, "val_loss": 4.511155605316162, "learning_rate": 0.01}'),
	(2, 1, 1795722573530, '{"mae": 1.80765962600708, "loss": 6.218297958374023, "val_mae": 1.5769191980361938, "val_loss": 5.987590789794922, "learning_rate": 0.007363056}'),
	(2, 2, 1795722573794, '{"mae": 1.7611178159713745, "loss": 5.90382719039917, "val_mae": 1.5231692790985107, "val_loss": 5.688404083251953, "learning_rate": 0.007363056}'),
	(2, 3, 1795722574022, '{"mae": 1.7214707136154175, "loss": 5.625905990600586, "val_mae": 1.4912455081939697, "val_loss": 5.429732322692871, "learning_rate": 0.007363056}'),
	(2, 4, 1795722574288, '{"mae": 1.6812912225723267, "loss": 5.3890604972839355, "val_mae": 1.4712131023406982, "val_loss": 5.20546817779541, "learning_rate": 0.007363056}'),
	(2, 5, 1795722574401, '{"mae": 1.656038761138916, "loss": 5.223050117492676, "val_mae": 1.4509189128875732, "val_loss": 5.005459785461426, "learning_rate": 0.007363056}'),
	(2, 6, 1795722574672, '{"mae": 1.633793830871582, "loss": 5.031450271606445, "val_mae": 1.4355833530426025, "val_loss": 4.833406925201416, "learning_rate": 0.007363056}'),
	(3, 1, 1795722579753, '{"mae": 1.8225812911987305, "loss": 6.324576377868652, "val_mae": 1.6382173299789429, "val_loss": 6.330057144165039, "learning_rate": 0.0005545997}'),
	(3, 2, 1795722579905, '{"mae": 1.8190165758132935, "loss": 6.2987518310546875, "val_mae": 1.633438229560852, "val_loss": 6.304427146911621, "learning_rate": 0.0005545997}'),
	(3, 3, 1795722579942, '{"mae": 1.8146530389785767, "loss": 6.268481254577637, "val_mae": 1.6287651062011719, "val_loss": 6.27914571762085, "learning_rate": 0.0005545997}'),
	(3, 4, 1795722580054, '{"mae": 1.8108313083648682, "loss": 6.24367618560791, "val_mae": 1.623917579650879, "val_loss": 6.253146171569824, "learning_rate": 0.0005545997}'),
	(3, 5, 1795722580157, '{"mae": 1.8067309856414795, "loss": 6.215558052062988, "val_mae": 1.6192748546600342, "val_loss": 6.228266716003418, "learning_rate": 0.0005545997}'),
	(3, 6, 1795722580262, '{"mae": 1.803152084350586, "loss": 6.191758155822754, "val_mae": 1.6145222187042236, "val_loss": 6.202667236328125, "learning_rate": 0.0005545997}'),
	(4, 1, 1795722583649, '{"mae": 1.9849984645843506, "loss": 7.821066379547119, "val_mae": 1.562117338180542, "val_loss": 5.491456031799316, "learning_rate": 0.029240783}'),
	(4, 2, 1795722583943, '{"mae": 1.6312305927276611, "loss": 5.608555793762207, "val_mae": 1.4116544723510742, "val_loss": 4.460756301879883, "learning_rate": 0.029240783}'),
	(4, 3, 1795722584210, '{"mae": 1.4605834484100342, "loss": 4.762967109680176, "val_mae": 1.403185248374939, "val_loss": 3.9677202701568604, "learning_rate": 0.029240783}'),
	(4, 4, 1795722584520, '{"mae": 1.4145431518554688, "loss": 4.279916763305664, "val_mae": 1.398808479309082, "val_loss": 3.7041475772857666, "learning_rate": 0.029240783}'),
	(4, 5, 1795722584811, '{"mae": 1.354595422744751, "loss": 3.936187744140625, "val_mae": 1.4068461656570435, "val_loss": 3.5056066513061523, "learning_rate": 0.029240783}'),
	(4, 6, 1795722585094, '{"mae": 1.3370440006256104, "loss": 3.7163808345794678, "val_mae": 1.411506175994873, "val_loss": 3.3478055000305176, "learning_rate": 0.029240783}'),
	(5, 1, 1795722588917, '{"mae": 1.8973029851913452, "loss": 7.410862922668457, "val_mae": 1.4153873920440674, "val_loss": 4.315521717071533, "learning_rate": 0.073810704}'),
	(5, 2, 1795722588981, '{"mae": 1.3761770725250244, "loss": 4.157508373260498, "val_mae": 1.3621197938919067, "val_loss": 2.8006486892700195, "learning_rate": 0.073810704}'),
	(5, 3, 1795722589021, '{"mae": 1.3574477434158325, "loss": 3.092374563217163, "val_mae": 1.3544731140136719, "val_loss": 2.532141923904419, "learning_rate": 0.073810704}'),
	(5, 4, 1795722589194, '{"mae": 1.3064900636672974, "loss": 2.760718584060669, "val_mae": 1.193525791168213, "val_loss": 2.063248872756958, "learning_rate": 0.073810704}'),
	(5, 5, 1795722589304, '{"mae": 1.1030352115631104, "loss": 1.9649049043655396, "val_mae": 0.9419060945510864, "val_loss": 1.613116979598999, "learning_rate": 0.073810704}'),
	(5, 6, 1795722589351, '{"mae": 0.9024440050125122, "loss": 1.3744008541107178, "val_mae": 0.7809014320373535, "val_loss": 1.1433699131011963, "learning_rate": 0.073810704}'),
	(6, 1, 1795722657393, '{"mae": 1.8018600940704346, "loss": 6.179590702056885, "val_mae": 1.5547411441802979, "val_loss": 5.8696675300598145, "learning_rate": 0.01}'),
	(6, 2, 1795722657870, '{"mae": 1.74196195602417, "loss": 5.779140949249268, "val_mae": 1.4972944259643555, "val_loss": 5.49533748626709, "learning_rate": 0.01}'),
	(6, 3, 1795722658271, '{"mae": 1.6925384998321533, "loss": 5.4369049072265625, "val_mae": 1.468700647354126, "val_loss": 5.185402870178223, "learning_rate": 0.01}'),
	(6, 4, 1795722658578, '{"mae": 1.6489841938018799, "loss": 5.158058166503906, "val_mae": 1.4431897401809692, "val_loss": 4.928783416748047, "learning_rate": 0.01}'),
	(6, 5, 1795722658818, '{"mae": 1.6189817190170288, "loss": 4.979823589324951, "val_mae": 1.4222127199172974, "val_loss": 4.7049150466918945, "learning_rate": 0.01}'),
	(6, 6, 1795722659156, '{"mae": 1.5921167135238647, "loss": 4.761214733123779, "val_mae": 1.408150315284729, "val_loss": 4.511155605316162, "learning_rate": 0.01}'),
	(7, 1, 1795722662765, '{"mae": 1.80765962600708, "loss": 6.218297958374023, "val_mae": 1.5769191980361938, "val_loss": 5.987590789794922, "learning_rate": 0.007363056}'),
	(7, 2, 1795722662926, '{"mae": 1.7611178159713745, "loss": 5.90382719039917, "val_mae": 1.5231692790985107, "val_loss": 5.688404083251953, "learning_rate": 0.007363056}'),
	(7, 3, 1795722662965, '{"mae": 1.7214707136154175, "loss": 5.625905990600586, "val_mae": 1.4912455081939697, "val_loss": 5.429732322692871, "learning_rate": 0.007363056}'),
	(7, 4, 1795722663005, '{"mae": 1.6812912225723267, "loss": 5.3890604972839355, "val_mae": 1.4712131023406982, "val_loss": 5.20546817779541, "learning_rate": 0.007363056}'),
	(7, 5, 1795722663043, '{"mae": 1.656038761138916, "loss": 5.223050117492676, "val_mae": 1.4509189128875732, "val_loss": 5.005459785461426, "learning_rate": 0.007363056}'),
	(7, 6, 1795722663141, '{"mae": 1.633793830871582, "loss": 5.031450271606445, "val_mae": 1.4355833530426025, "val_loss": 4.833406925201416, "learning_rate": 0.007363056}'),
	(8, 1, 1795722667614, '{"mae": 1.8225812911987305, "loss": 6.324576377868652, "val_mae": 1.6382173299789429, "val_loss": 6.330057144165039, "learning_rate": 0.0005545997}'),
	(8, 2, 1795722667785, '{"mae": 1.8190165758132935, "loss": 6.2987518310546875, "val_mae": 1.633438229560852, "val_loss": 6.304427146911621, "learning_rate": 0.0005545997}'),
	(8, 3, 1795722667966, '{"mae": 1.8146530389785767, "loss": 6.268481254577637, "val_mae": 1.6287651062011719, "val_loss": 6.27914571762085, "learning_rate": 0.0005545997}'),
	(8, 4, 1795722668006, '{"mae": 1.8108313083648682, "loss": 6.24367618560791, "val_mae": 1.623917579650879, "val_loss": 6.253146171569824, "learning_rate": 0.0005545997}'),
	(8, 5, 1795722668118, '{"mae": 1.8067309856414795, "loss": 6.215558052062988, "val_mae": 1.6192748546600342, "val_loss": 6.228266716003418, "learning_rate": 0.0005545997}'),
	(8, 6, 1795722668301, '{"mae": 1.803152084350586, "loss": 6.191758155822754, "val_mae": 1.6145222187042236, "val_loss": 6.202667236328125, "learning_rate": 0.0005545997}');
INSERT INTO optselect.meta VALUES
	('optselect', '0.1.0'),
	('optuna', '5.0.0');
INSERT INTO optselect.outbox VALUES
	(1, 0, false, '[]', '2026-11-26 19:48:49.177876+00', NULL),
	(2, 0, false, '[]', '2026-11-26 19:48:49.178009+00', NULL),
	(3, 0, false, '[]', '2026-11-26 19:48:49.178014+00', NULL),
	(4, 0, false, '[]', '2026-11-26 19:48:49.178018+00', NULL),
	(5, 0, false, '[]', '2026-11-26 19:48:49.178021+00', NULL),
	(6, 0, false, '[]', '2026-11-26 19:50:17.303837+00', NULL),
	(7, 0, false, '[]', '2026-11-26 19:50:17.303923+00', NULL),
	(8, 0, false, '[]', '2026-11-26 19:50:17.303928+00', NULL),
	(9, 0, false, '[]', '2026-11-26 19:50:17.303941+00', NULL),
	(10, 0, false, '[]', '2026-11-26 19:50:17.303944+00', NULL),
	(11, 0, false, '[]', '2026-11-26 19:50:17.303948+00', NULL),
	(12, 0, false, '[]', '2026-11-26 19:50:17.303952+00', NULL);
INSERT INTO optselect.study OVERRIDING SYSTEM VALUE VALUES
	(1, 'ended', 'ended', '{"seed": 0, "tune": "auto", "space": {"SGD": [{"low": 0.0001, "high": 3.0, "scale": "log", "choices": [], "keyword": "learning_rate"}], "Adam": [{"low": 0.00001, "high": 0.1, "scale": "log", "choices": [], "keyword": "learning_rate"}]}, "epochs": 6, "folder": "/somewhere", "trials": 4, "problem": "/somewhere/net.py", "direction": "minimize", "objective": "val_loss", "optimizers": ["SGD", "Adam"]}', 1, '{"name": "net", "path": "/somewhere/net.py", "rows": {"train": 64, "validation": 32}, "epochs": 6, "inputs": {"train": "x float32(64, 4), y float32(64,)", "validation": "x float32(32, 4), y float32(32,)"}, "schema": 1, "metrics": ["loss", "mae", "val_loss", "val_mae"], "modules": {"net.py": "efe24d36ac341297be1616ed86319ce395b879d9b2864d5f42f83ea386b7945f"}, "outputs": ["dense_1"], "baseline": {"code": "keras.optimizers.SGD(learning_rate=0.01)", "arguments": {"learning_rate": 0.01}, "optimizer": "SGD"}, "versions": {"keras": "3.15.1", "numpy": "2.4.6", "python": "3.11.7", "tensorflow": "2.21.0"}, "warnings": ["No test data: the winner is judged on the validation data that it was chosen by."], "data_hash": "5da0d4456071b4bc3c457182b9edaaaa202ce2b8bec9fd758acd607e05c6b5a1", "batch_size": 16, "parameters": 49, "steps_per_epoch": 4}', '{"net.py": "\"\"\"A study of an earlier version trained this.\"\"\"\n\nimport keras\nimport numpy as np\n\n\ndef model():\n    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation=\"relu\"), keras.layers.Dense(1)])\n    net.compile(optimizer=\"sgd\", loss=\"mse\", metrics=[\"mae\"])\n    return net\n\n\ndef data():\n    x = np.random.default_rng(0).normal(size=(96, 4)).astype(\"float32\")\n    y = (x[:, 0] - 2 * x[:, 1] ** 2).astype(\"float32\")\n    return (x[:64], y[:64]), (x[64:], y[64:])\n\n\nfit = {\"batch_size\": 16, \"epochs\": 6}\n"}', '01235a5640f5c7225f6b2a9e5bf66dbf1598ae36b7583bf750a76681b33f291e', '5da0d4456071b4bc3c457182b9edaaaa202ce2b8bec9fd758acd607e05c6b5a1', '{"keras": "3.15.1", "numpy": "2.4.6", "python": "3.11.7", "tensorflow": "2.21.0"}', 'val_loss', 'minimize', 4, 'finished', NULL, NULL, '2026-11-26 19:48:49.167783+00', '2026-11-26 19:49:49.577132+00'),
	(2, 'halfway', 'halfway', '{"seed": 0, "tune": "auto", "space": {"SGD": [{"low": 0.0001, "high": 3.0, "scale": "log", "choices": [], "keyword": "learning_rate"}], "Adam": [{"low": 0.00001, "high": 0.1, "scale": "log", "choices": [], "keyword": "learning_rate"}]}, "epochs": 6, "folder": "/somewhere", "trials": 6, "problem": "/somewhere/net.py", "direction": "minimize", "objective": "val_loss", "optimizers": ["SGD", "Adam"]}', 1, '{"name": "net", "path": "/somewhere/net.py", "rows": {"train": 64, "validation": 32}, "epochs": 6, "inputs": {"train": "x float32(64, 4), y float32(64,)", "validation": "x float32(32, 4), y float32(32,)"}, "schema": 1, "metrics": ["loss", "mae", "val_loss", "val_mae"], "modules": {"net.py": "efe24d36ac341297be1616ed86319ce395b879d9b2864d5f42f83ea386b7945f"}, "outputs": ["dense_1"], "baseline": {"code": "keras.optimizers.SGD(learning_rate=0.01)", "arguments": {"learning_rate": 0.01}, "optimizer": "SGD"}, "versions": {"keras": "3.15.1", "numpy": "2.4.6", "python": "3.11.7", "tensorflow": "2.21.0"}, "warnings": ["No test data: the winner is judged on the validation data that it was chosen by."], "data_hash": "5da0d4456071b4bc3c457182b9edaaaa202ce2b8bec9fd758acd607e05c6b5a1", "batch_size": 16, "parameters": 49, "steps_per_epoch": 4}', '{"net.py": "\"\"\"A study of an earlier version trained this.\"\"\"\n\nimport keras\nimport numpy as np\n\n\ndef model():\n    net = keras.Sequential([keras.Input((4,)), keras.layers.Dense(8, activation=\"relu\"), keras.layers.Dense(1)])\n    net.compile(optimizer=\"sgd\", loss=\"mse\", metrics=[\"mae\"])\n    return net\n\n\ndef data():\n    x = np.random.default_rng(0).normal(size=(96, 4)).astype(\"float32\")\n    y = (x[:, 0] - 2 * x[:, 1] ** 2).astype(\"float32\")\n    return (x[:64], y[:64]), (x[64:], y[64:])\n\n\nfit = {\"batch_size\": 16, \"epochs\": 6}\n"}', '01235a5640f5c7225f6b2a9e5bf66dbf1598ae36b7583bf750a76681b33f291e', '5da0d4456071b4bc3c457182b9edaaaa202ce2b8bec9fd758acd607e05c6b5a1', '{"keras": "3.15.1", "numpy": "2.4.6", "python": "3.11.7", "tensorflow": "2.21.0"}', 'val_loss', 'minimize', 6, 'running', NULL, NULL, '2026-11-26 19:50:17.27723+00', NULL);
INSERT INTO optselect.ticket OVERRIDING SYSTEM VALUE VALUES
	(1, 1, 0, 'done', 1, 3, 0, 'cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', '250d99dd-eca9-4f51-85e2-3d3e2cd55da4', '2026-11-26 19:50:29.97964+00', 'baseline', 'baseline', 0, '{"optimizer": "baseline"}', '{"learning_rate": 0.01}', 1, 0, 4.511155605316162, 6, NULL, 'complete', '{"seconds": 8.134063851000064, "best_val_loss": 4.511155605316162, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:49:21.567232+00', '2026-11-26 19:49:30.288068+00'),
	(5, 1, 4, 'done', 1, 3, 0, 'cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', '8a2b0fd6-c785-4eb0-a75e-70b43baca1fb', '2026-11-26 19:50:49.366596+00', 'quota', 'Adam', 1, '{"optimizer": "Adam"}', '{"learning_rate": 0.07381070543530444}', 5, 4, 1.1433699131011963, 6, NULL, 'complete', '{"seconds": 3.9432469450002827, "best_val_loss": 1.1433699131011963, "initial_val_mae": 2.103806972503662, "initial_val_loss": 8.688562393188477}', NULL, '2026-11-26 19:49:45.239495+00', '2026-11-26 19:49:49.571741+00'),
	(2, 1, 1, 'done', 1, 3, 0, 'cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', '193eca06-b4b6-4427-b98f-6466cd291ece', '2026-11-26 19:50:34.685697+00', 'quota', 'SGD', 0, '{"optimizer": "SGD"}', '{"learning_rate": 0.007363055616963299}', 2, 1, 4.833406925201416, 6, NULL, 'complete', '{"seconds": 4.056988479999745, "best_val_loss": 4.833406925201416, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:49:30.341757+00', '2026-11-26 19:49:35.015914+00'),
	(10, 2, 4, 'free', 0, 3, 0, NULL, NULL, NULL, 'quota', 'Adam', 1, '{"optimizer": "Adam"}', NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
	(3, 1, 2, 'done', 1, 3, 0, 'cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', '96a6a349-534c-4c33-8f48-7874787ed564', '2026-11-26 19:50:40.269657+00', 'quota', 'Adam', 0, '{"optimizer": "Adam"}', '{"learning_rate": 0.0005545996722241044}', 3, 2, 6.202667236328125, 6, NULL, 'complete', '{"seconds": 4.598440978000326, "best_val_loss": 6.202667236328125, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:49:35.105156+00', '2026-11-26 19:49:40.373281+00'),
	(11, 2, 5, 'free', 0, 3, 0, NULL, NULL, NULL, 'quota', 'SGD', 2, '{"optimizer": "SGD"}', NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
	(12, 2, 6, 'free', 0, 3, 0, NULL, NULL, NULL, 'quota', 'Adam', 2, '{"optimizer": "Adam"}', NULL, NULL, NULL, NULL, 0, NULL, NULL, NULL, NULL, NULL, NULL),
	(4, 1, 3, 'done', 1, 3, 0, 'cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', '5f14a266-d39b-436b-8c19-e24b5d23193a', '2026-11-26 19:50:45.115907+00', 'quota', 'SGD', 1, '{"optimizer": "SGD"}', '{"learning_rate": 0.029240782921652365}', 4, 3, 3.3478055000305176, 6, NULL, 'complete', '{"seconds": 4.5393272189994605, "best_val_loss": 3.3478055000305176, "initial_val_mae": 2.103806972503662, "initial_val_loss": 8.688562393188477}', NULL, '2026-11-26 19:49:40.386167+00', '2026-11-26 19:49:45.229184+00'),
	(8, 2, 2, 'done', 1, 3, 0, 'c2f66928-604e-41be-ad6a-4c6755b0c75e', '22df5b40-65c4-4eb2-bc5f-06797c7c0e70', '2026-11-26 19:52:08.322116+00', 'quota', 'Adam', 0, '{"optimizer": "Adam"}', '{"learning_rate": 0.0005545996722241044}', 8, 2, 6.202667236328125, 6, NULL, 'complete', '{"seconds": 4.986006692000046, "best_val_loss": 6.202667236328125, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:51:03.194211+00', '2026-11-26 19:51:08.466156+00'),
	(6, 2, 0, 'done', 1, 3, 0, 'c2f66928-604e-41be-ad6a-4c6755b0c75e', '2c60bd3a-a728-4288-a0e0-b141c55f2185', '2026-11-26 19:51:59.159928+00', 'baseline', 'baseline', 0, '{"optimizer": "baseline"}', '{"learning_rate": 0.01}', 6, 0, 4.511155605316162, 6, NULL, 'complete', '{"seconds": 8.005870627999684, "best_val_loss": 4.511155605316162, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:50:51.06148+00', '2026-11-26 19:50:59.429366+00'),
	(9, 2, 3, 'leased', 1, 3, 0, '046efce3-b6d8-4f6e-8321-2bde15900789', '6ef5d978-9cc5-490a-8a13-c39c90e406f0', '2026-11-26 20:00:11.418939+00', 'quota', 'SGD', 1, '{"optimizer": "SGD"}', '{"learning_rate": 0.029240782921652365}', 9, 3, NULL, 0, NULL, NULL, NULL, NULL, '2026-11-26 19:59:11.418939+00', NULL),
	(7, 2, 1, 'done', 1, 3, 0, 'c2f66928-604e-41be-ad6a-4c6755b0c75e', '777d5cd9-08e6-409e-941c-ccca3453df26', '2026-11-26 19:52:03.143355+00', 'quota', 'SGD', 0, '{"optimizer": "SGD"}', '{"learning_rate": 0.007363055616963299}', 7, 1, 4.833406925201416, 6, NULL, 'complete', '{"seconds": 3.4388173830002415, "best_val_loss": 4.833406925201416, "initial_val_mae": 1.6429275274276733, "initial_val_loss": 6.356137275695801}', NULL, '2026-11-26 19:50:59.437082+00', '2026-11-26 19:51:03.192479+00');
INSERT INTO optselect.worker VALUES
	('cc40d7b7-4c45-4fd3-b1aa-6e5fca1a5d22', 1, 'elsewhere', 1, 'another boot', 'CPU', NULL, 'gone', false, '2026-11-26 19:49:21.503498+00', '2026-11-26 19:49:49.657838+00', NULL),
	('c2f66928-604e-41be-ad6a-4c6755b0c75e', 2, 'elsewhere', 1, 'another boot', 'CPU', NULL, 'gone', false, '2026-11-26 19:50:51.037431+00', '2026-11-26 19:51:08.551881+00', NULL),
	('046efce3-b6d8-4f6e-8321-2bde15900789', 2, 'elsewhere', 1, 'another boot', 'CPU', NULL, 'working', false, '2026-11-26 19:59:11.290907+00', '2026-11-26 19:59:11.290907+00', NULL);
INSERT INTO optuna.alembic_version VALUES
	('v3.2.0.a');
INSERT INTO optuna.studies VALUES
	(1, 'ended'),
	(2, 'halfway');
INSERT INTO optuna.study_directions VALUES
	(1, 'MINIMIZE', 1, 0),
	(2, 'MINIMIZE', 2, 0);
INSERT INTO optuna.trial_params VALUES
	(1, 1, 'optimizer', 2, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(2, 2, 'optimizer', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(3, 2, 'SGD.learning_rate', 0.007363055616963299, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 3.0, "log": true}}'),
	(4, 3, 'optimizer', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(5, 3, 'Adam.learning_rate', 0.0005545996722241044, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}'),
	(6, 4, 'optimizer', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(7, 4, 'SGD.learning_rate', 0.029240782921652365, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 3.0, "log": true}}'),
	(8, 5, 'optimizer', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(9, 5, 'Adam.learning_rate', 0.07381070543530444, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}'),
	(10, 6, 'optimizer', 2, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(11, 7, 'optimizer', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(12, 7, 'SGD.learning_rate', 0.007363055616963299, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 3.0, "log": true}}'),
	(13, 8, 'optimizer', 1, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(14, 8, 'Adam.learning_rate', 0.0005545996722241044, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 1e-05, "high": 0.1, "log": true}}'),
	(15, 9, 'optimizer', 0, '{"name": "CategoricalDistribution", "attributes": {"choices": ["SGD", "Adam", "baseline"]}}'),
	(16, 9, 'SGD.learning_rate', 0.029240782921652365, '{"name": "FloatDistribution", "attributes": {"step": null, "low": 0.0001, "high": 3.0, "log": true}}');
INSERT INTO optuna.trial_system_attributes VALUES
	(1, 1, 'fixed_params', '{"optimizer": "baseline"}'),
	(2, 2, 'fixed_params', '{"optimizer": "SGD"}'),
	(3, 3, 'fixed_params', '{"optimizer": "Adam"}'),
	(4, 4, 'fixed_params', '{"optimizer": "SGD"}'),
	(5, 5, 'fixed_params', '{"optimizer": "Adam"}'),
	(6, 6, 'fixed_params', '{"optimizer": "baseline"}'),
	(7, 7, 'fixed_params', '{"optimizer": "SGD"}'),
	(8, 8, 'fixed_params', '{"optimizer": "Adam"}'),
	(9, 9, 'fixed_params', '{"optimizer": "SGD"}');
INSERT INTO optuna.trial_user_attributes VALUES
	(1, 1, 'ticket', '1'),
	(2, 1, 'token', '"250d99dd-eca9-4f51-85e2-3d3e2cd55da4"'),
	(3, 1, 'phase', '"baseline"'),
	(4, 1, 'seed', '0'),
	(5, 1, 'optimizer_arguments', '{"learning_rate": 0.01}'),
	(6, 1, 'outcome', '"complete"'),
	(7, 2, 'ticket', '2'),
	(8, 2, 'token', '"193eca06-b4b6-4427-b98f-6466cd291ece"'),
	(9, 2, 'phase', '"quota"'),
	(10, 2, 'seed', '0'),
	(11, 2, 'optimizer_arguments', '{"learning_rate": 0.007363055616963299}'),
	(12, 2, 'outcome', '"complete"'),
	(13, 3, 'ticket', '3'),
	(14, 3, 'token', '"96a6a349-534c-4c33-8f48-7874787ed564"'),
	(15, 3, 'phase', '"quota"'),
	(16, 3, 'seed', '0'),
	(17, 3, 'optimizer_arguments', '{"learning_rate": 0.0005545996722241044}'),
	(18, 3, 'outcome', '"complete"'),
	(19, 4, 'ticket', '4'),
	(20, 4, 'token', '"5f14a266-d39b-436b-8c19-e24b5d23193a"'),
	(21, 4, 'phase', '"quota"'),
	(22, 4, 'seed', '1'),
	(23, 4, 'optimizer_arguments', '{"learning_rate": 0.029240782921652365}'),
	(24, 4, 'outcome', '"complete"'),
	(25, 5, 'ticket', '5'),
	(26, 5, 'token', '"8a2b0fd6-c785-4eb0-a75e-70b43baca1fb"'),
	(27, 5, 'phase', '"quota"'),
	(28, 5, 'seed', '1'),
	(29, 5, 'optimizer_arguments', '{"learning_rate": 0.07381070543530444}'),
	(30, 5, 'outcome', '"complete"'),
	(31, 6, 'ticket', '6'),
	(32, 6, 'token', '"2c60bd3a-a728-4288-a0e0-b141c55f2185"'),
	(33, 6, 'phase', '"baseline"'),
	(34, 6, 'seed', '0'),
	(35, 6, 'optimizer_arguments', '{"learning_rate": 0.01}'),
	(36, 6, 'outcome', '"complete"'),
	(37, 7, 'ticket', '7'),
	(38, 7, 'token', '"777d5cd9-08e6-409e-941c-ccca3453df26"'),
	(39, 7, 'phase', '"quota"'),
	(40, 7, 'seed', '0'),
	(41, 7, 'optimizer_arguments', '{"learning_rate": 0.007363055616963299}'),
	(42, 7, 'outcome', '"complete"'),
	(43, 8, 'ticket', '8'),
	(44, 8, 'token', '"22df5b40-65c4-4eb2-bc5f-06797c7c0e70"'),
	(45, 8, 'phase', '"quota"'),
	(46, 8, 'seed', '0'),
	(47, 8, 'optimizer_arguments', '{"learning_rate": 0.0005545996722241044}'),
	(48, 8, 'outcome', '"complete"'),
	(49, 9, 'ticket', '9'),
	(50, 9, 'token', '"6ef5d978-9cc5-490a-8a13-c39c90e406f0"'),
	(51, 9, 'phase', '"quota"'),
	(52, 9, 'seed', '1'),
	(53, 9, 'optimizer_arguments', '{"learning_rate": 0.029240782921652365}');
INSERT INTO optuna.trial_values VALUES
	(1, 1, 0, 4.511155605316162, 'FINITE'),
	(2, 2, 0, 4.833406925201416, 'FINITE'),
	(3, 3, 0, 6.202667236328125, 'FINITE'),
	(4, 4, 0, 3.3478055000305176, 'FINITE'),
	(5, 5, 0, 1.1433699131011963, 'FINITE'),
	(6, 6, 0, 4.511155605316162, 'FINITE'),
	(7, 7, 0, 4.833406925201416, 'FINITE'),
	(8, 8, 0, 6.202667236328125, 'FINITE');
INSERT INTO optuna.trials VALUES
	(1, 0, 1, 'COMPLETE', '2026-11-26 19:49:21.574845', '2026-11-26 19:49:30.165373'),
	(2, 1, 1, 'COMPLETE', '2026-11-26 19:49:30.343262', '2026-11-26 19:49:34.906933'),
	(3, 2, 1, 'COMPLETE', '2026-11-26 19:49:35.132663', '2026-11-26 19:49:40.333065'),
	(4, 3, 1, 'COMPLETE', '2026-11-26 19:49:40.387297', '2026-11-26 19:49:45.181081'),
	(5, 4, 1, 'COMPLETE', '2026-11-26 19:49:45.243872', '2026-11-26 19:49:49.509241'),
	(6, 0, 2, 'COMPLETE', '2026-11-26 19:50:51.067416', '2026-11-26 19:50:59.349152'),
	(7, 1, 2, 'COMPLETE', '2026-11-26 19:50:59.438122', '2026-11-26 19:51:03.157818'),
	(8, 2, 2, 'COMPLETE', '2026-11-26 19:51:03.195147', '2026-11-26 19:51:08.398849'),
	(9, 3, 2, 'RUNNING', '2026-11-26 19:59:11.429736', NULL);
INSERT INTO optuna.version_info VALUES
	(1, 12, '5.0.0');
SELECT pg_catalog.setval('optselect.study_id_seq', 2, true);
SELECT pg_catalog.setval('optselect.ticket_id_seq', 12, true);
SELECT pg_catalog.setval('optuna.studies_study_id_seq', 2, true);
SELECT pg_catalog.setval('optuna.study_directions_study_direction_id_seq', 2, true);
SELECT pg_catalog.setval('optuna.study_system_attributes_study_system_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('optuna.study_user_attributes_study_user_attribute_id_seq', 1, false);
SELECT pg_catalog.setval('optuna.trial_heartbeats_trial_heartbeat_id_seq', 1, false);
SELECT pg_catalog.setval('optuna.trial_intermediate_values_trial_intermediate_value_id_seq', 1, false);
SELECT pg_catalog.setval('optuna.trial_params_param_id_seq', 16, true);
SELECT pg_catalog.setval('optuna.trial_system_attributes_trial_system_attribute_id_seq', 9, true);
SELECT pg_catalog.setval('optuna.trial_user_attributes_trial_user_attribute_id_seq', 53, true);
SELECT pg_catalog.setval('optuna.trial_values_trial_value_id_seq', 8, true);
SELECT pg_catalog.setval('optuna.trials_trial_id_seq', 9, true);
ALTER TABLE ONLY optselect.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY optselect.checkpoint
    ADD CONSTRAINT checkpoint_pkey PRIMARY KEY (ticket_id, epoch);
ALTER TABLE ONLY optselect.epoch_log
    ADD CONSTRAINT epoch_log_pkey PRIMARY KEY (ticket_id, epoch);
ALTER TABLE ONLY optselect.meta
    ADD CONSTRAINT meta_pkey PRIMARY KEY (key);
ALTER TABLE ONLY optselect.outbox
    ADD CONSTRAINT outbox_pkey PRIMARY KEY (ticket_id);
ALTER TABLE ONLY optselect.study
    ADD CONSTRAINT study_name_key UNIQUE (name);
ALTER TABLE ONLY optselect.study
    ADD CONSTRAINT study_pkey PRIMARY KEY (id);
ALTER TABLE ONLY optselect.ticket
    ADD CONSTRAINT ticket_pkey PRIMARY KEY (id);
ALTER TABLE ONLY optselect.ticket
    ADD CONSTRAINT ticket_study_id_ord_key UNIQUE (study_id, ord);
ALTER TABLE ONLY optselect.ticket
    ADD CONSTRAINT ticket_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY optselect.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);
ALTER TABLE ONLY optuna.alembic_version
    ADD CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num);
ALTER TABLE ONLY optuna.studies
    ADD CONSTRAINT studies_pkey PRIMARY KEY (study_id);
ALTER TABLE ONLY optuna.study_directions
    ADD CONSTRAINT study_directions_pkey PRIMARY KEY (study_direction_id);
ALTER TABLE ONLY optuna.study_directions
    ADD CONSTRAINT study_directions_study_id_objective_key UNIQUE (study_id, objective);
ALTER TABLE ONLY optuna.study_system_attributes
    ADD CONSTRAINT study_system_attributes_pkey PRIMARY KEY (study_system_attribute_id);
ALTER TABLE ONLY optuna.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY optuna.study_user_attributes
    ADD CONSTRAINT study_user_attributes_pkey PRIMARY KEY (study_user_attribute_id);
ALTER TABLE ONLY optuna.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_key_key UNIQUE (study_id, key);
ALTER TABLE ONLY optuna.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_pkey PRIMARY KEY (trial_heartbeat_id);
ALTER TABLE ONLY optuna.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_key UNIQUE (trial_id);
ALTER TABLE ONLY optuna.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_pkey PRIMARY KEY (trial_intermediate_value_id);
ALTER TABLE ONLY optuna.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_step_key UNIQUE (trial_id, step);
ALTER TABLE ONLY optuna.trial_params
    ADD CONSTRAINT trial_params_pkey PRIMARY KEY (param_id);
ALTER TABLE ONLY optuna.trial_params
    ADD CONSTRAINT trial_params_trial_id_param_name_key UNIQUE (trial_id, param_name);
ALTER TABLE ONLY optuna.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_pkey PRIMARY KEY (trial_system_attribute_id);
ALTER TABLE ONLY optuna.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY optuna.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_pkey PRIMARY KEY (trial_user_attribute_id);
ALTER TABLE ONLY optuna.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_key_key UNIQUE (trial_id, key);
ALTER TABLE ONLY optuna.trial_values
    ADD CONSTRAINT trial_values_pkey PRIMARY KEY (trial_value_id);
ALTER TABLE ONLY optuna.trial_values
    ADD CONSTRAINT trial_values_trial_id_objective_key UNIQUE (trial_id, objective);
ALTER TABLE ONLY optuna.trials
    ADD CONSTRAINT trials_pkey PRIMARY KEY (trial_id);
ALTER TABLE ONLY optuna.version_info
    ADD CONSTRAINT version_info_pkey PRIMARY KEY (version_info_id);
CREATE INDEX ticket_study_id_ord_idx ON optselect.ticket USING btree (study_id, ord) WHERE (state <> 'done'::text);
CREATE INDEX worker_study_id_idx ON optselect.worker USING btree (study_id);
CREATE UNIQUE INDEX ix_studies_study_name ON optuna.studies USING btree (study_name);
CREATE INDEX ix_trials_study_id ON optuna.trials USING btree (study_id);
ALTER TABLE ONLY optselect.checkpoint
    ADD CONSTRAINT checkpoint_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES optselect.ticket(id) ON DELETE CASCADE;
ALTER TABLE ONLY optselect.epoch_log
    ADD CONSTRAINT epoch_log_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES optselect.ticket(id) ON DELETE CASCADE;
ALTER TABLE ONLY optselect.outbox
    ADD CONSTRAINT outbox_ticket_id_fkey FOREIGN KEY (ticket_id) REFERENCES optselect.ticket(id) ON DELETE CASCADE;
ALTER TABLE ONLY optselect.ticket
    ADD CONSTRAINT ticket_study_id_fkey FOREIGN KEY (study_id) REFERENCES optselect.study(id) ON DELETE CASCADE;
ALTER TABLE ONLY optselect.worker
    ADD CONSTRAINT worker_study_id_fkey FOREIGN KEY (study_id) REFERENCES optselect.study(id) ON DELETE CASCADE;
ALTER TABLE ONLY optuna.study_directions
    ADD CONSTRAINT study_directions_study_id_fkey FOREIGN KEY (study_id) REFERENCES optuna.studies(study_id);
ALTER TABLE ONLY optuna.study_system_attributes
    ADD CONSTRAINT study_system_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES optuna.studies(study_id);
ALTER TABLE ONLY optuna.study_user_attributes
    ADD CONSTRAINT study_user_attributes_study_id_fkey FOREIGN KEY (study_id) REFERENCES optuna.studies(study_id);
ALTER TABLE ONLY optuna.trial_heartbeats
    ADD CONSTRAINT trial_heartbeats_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trial_intermediate_values
    ADD CONSTRAINT trial_intermediate_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trial_params
    ADD CONSTRAINT trial_params_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trial_system_attributes
    ADD CONSTRAINT trial_system_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trial_user_attributes
    ADD CONSTRAINT trial_user_attributes_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trial_values
    ADD CONSTRAINT trial_values_trial_id_fkey FOREIGN KEY (trial_id) REFERENCES optuna.trials(trial_id);
ALTER TABLE ONLY optuna.trials
    ADD CONSTRAINT trials_study_id_fkey FOREIGN KEY (study_id) REFERENCES optuna.studies(study_id);
