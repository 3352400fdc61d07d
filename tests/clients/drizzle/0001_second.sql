PRAGMA foreign_keys=OFF;
--> statement-breakpoint
CREATE TABLE `__new_author` (
	`id` integer PRIMARY KEY AUTOINCREMENT NOT NULL,
	`email` text NOT NULL,
	`name` text DEFAULT 'nameless' NOT NULL,
	`born` integer,
	`photo` blob
);
--> statement-breakpoint
INSERT INTO `__new_author`("id", "email", "born", "photo") SELECT "id", "email", "born", "photo" FROM `author`;
--> statement-breakpoint
DROP TABLE `author`;
--> statement-breakpoint
ALTER TABLE `__new_author` RENAME TO `author`;
--> statement-breakpoint
PRAGMA foreign_keys=ON;
--> statement-breakpoint
CREATE UNIQUE INDEX `author_email_unique` ON `author` (`email`);
--> statement-breakpoint
CREATE INDEX `article_by_author` ON `article` (`author_id`,`title`);
